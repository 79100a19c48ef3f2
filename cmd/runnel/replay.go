package main

import (
	"io"
	"os"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// replay is the old output of a session whose stdin is this process's terminal. Queries in it are removed: the
// terminal would answer them now, into the stdin of a program that has not asked or has asked long ago.
type replay struct {
	end            int64 // the position of its end
	stdout, stderr tty.Quiet
}

// filter returns what is to be written to w of output.
func (r *replay) filter(o *client.Output, w io.Writer) []byte {
	q := &r.stdout
	if o.Type == rpc.StreamStderr {
		q = &r.stderr
	}
	begin := o.Seq - int64(len(o.Data)) - o.DroppedBytes
	if o.Seq > r.end && begin >= r.end && !q.Pending() {
		return o.Data
	}
	if f, ok := w.(*os.File); !ok || !isTerminal(f) {
		return o.Data
	}
	return q.Filter(o.Data)
}
