package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type logsCmd struct {
	target
	AfterSeq int64  `name:"after-seq" help:"Place in the session's log behind which to begin." placeholder:"N"`
	ID       string `arg:"" help:"The session's id, or a prefix of it that no other has."`
}

// beyond is a place that no log reaches. A read from there tells where the log ends.
const beyond = 1<<53 - 1

// Run prints the session's output up to now, stdout on stdout and stderr on stderr. A session that goes on writing
// does not keep it.
func (c *logsCmd) Run(w *world) error {
	return c.with(w, func(ctx context.Context, conn *client.Client) error {
		id, err := resolve(ctx, conn, c.ID)
		if err != nil {
			return err
		}
		read := func(after int64) (res rpc.ReadResult, err error) {
			err = conn.Call(ctx, rpc.MethodRead, rpc.ReadParams{SessionID: id, AfterSeq: after, Timeout: rpc.Seconds{Set: true}}, &res)
			return res, err
		}
		end, err := read(beyond)
		if err != nil {
			return err
		}
		for after := c.AfterSeq; after < end.LastSeq; {
			res, err := read(after)
			if err != nil {
				return err
			}
			for _, e := range res.Events {
				if err := printEvent(w, e); err != nil {
					return err
				}
			}
			if res.Done || len(res.Events) == 0 {
				return nil
			}
			after = res.LastSeq
		}
		return nil
	})
}

// printEvent prints what is output, and tells what is lost.
func printEvent(w *world, e rpc.Event) error {
	switch e.Method {
	case rpc.NotifyOutput:
		var o rpc.Output
		if err := json.Unmarshal(e.Params, &o); err != nil {
			return err
		}
		return printOutput(w, &o)
	case rpc.NotifyGap:
		var g rpc.Gap
		if err := json.Unmarshal(e.Params, &g); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.stderr, "runnel: %d bytes of output are not kept any more\n", g.LostBytes)
		return err
	}
	return nil
}

func printOutput(w *world, o *rpc.Output) (err error) {
	data := []byte(o.Data)
	if o.Encoding == rpc.EncodingBase64 {
		if data, err = base64.StdEncoding.DecodeString(o.Data); err != nil {
			return err
		}
	}
	to := io.Writer(w.stdout)
	if o.Type == rpc.StreamStderr {
		to = w.stderr
	}
	_, err = to.Write(data)
	return err
}
