//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestMergeStderr: the output of both streams is in the order in which it was written.
func TestMergeStderr(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	var want strings.Builder
	for i := range 300 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i)
	}
	const script = `i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done`
	for _, mode := range []string{"lines", "raw"} {
		x := p.run(object{"command": script, "merge_stderr": true, "mode": mode})
		if x.stdout() != want.String() || x.stderr() != "" {
			t.Errorf("%s: %.300q, %.300q", mode, x.stdout(), x.stderr())
		}
		if o := x.record.Output; o.StdoutBytes != int64(want.Len()) || o.StderrBytes != 0 {
			t.Errorf("%+v", o)
		}
	}
	// It is one open pipe, and the command has no other descriptor than without.
	x := p.run(object{"command": "[ $(readlink /proc/$$/fd/1) = $(readlink /proc/$$/fd/2) ] && echo same; ls /proc/self/fd", "merge_stderr": true})
	y := p.run(object{"command": "echo same; ls /proc/self/fd"})
	if x.stdout() != y.stdout() {
		t.Errorf("%q, %q", x.stdout(), y.stdout())
	}
	// Limits take another way to the start.
	x = p.run(object{"command": "echo out; echo err >&2", "merge_stderr": true, "limits": object{"open_files": 50}, "umask": 63})
	if x.stdout() != "out\nerr\n" {
		t.Errorf("with limits: %q", x.stdout())
	}
	var c rpc.Captured
	p.ok("execute", object{"command": script, "merge_stderr": true, "wait": true}, &c)
	if c.Stdout == nil || *c.Stdout != want.String() || c.Stderr != nil {
		t.Errorf("captured: %+v", c)
	}
	// A process that only stderr keeps open is drained too.
	p.ok("execute", object{"command": "(exec >&-; sleep 0.05; echo late >&2) & exec 2>&-", "merge_stderr": true, "wait": true}, &c)
	if c.Stdout == nil || *c.Stdout != "late\n" {
		t.Errorf("late: %+v", c)
	}
	// On a terminal it is so anyway.
	p.ok("execute", object{"command": "echo out; echo err >&2", "merge_stderr": true, "wait": true, "pty": object{"rows": 24, "cols": 80}}, &c)
	if c.PTY == nil || *c.PTY != "out\r\nerr\r\n" || c.Stderr != nil {
		t.Errorf("on a terminal: %+v", c)
	}
}
