//go:build linux

package server_test

import (
	"fmt"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestWaitingForInput: status and read report whether the session waits for input, and whether
// its terminal echoes.
func TestWaitingForInput(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	waiting := func(in rpc.InputState) bool { return in.WaitingForInput != nil && *in.WaitingForInput }
	states := func(id string) (rpc.InputState, rpc.InputState) {
		t.Helper()
		var st rpc.StatusResult
		var rd rpc.ReadResult
		p.ok("status", object{"session_id": id}, &st)
		p.ok("read", object{"session_id": id, "timeout": 0}, &rd)
		for _, in := range []rpc.InputState{st.InputState, rd.InputState} {
			if in.WaitingForInput != nil && !*in.WaitingForInput {
				t.Error("waiting_for_input is false, which is never known")
			}
		}
		return st.InputState, rd.InputState
	}
	until := func(what, id string, want bool, echo string) {
		t.Helper()
		eventually(t, what, func() bool {
			a, b := states(id)
			return waiting(a) == want && waiting(b) == want && echoOf(a) == echo && echoOf(b) == echo
		})
	}

	cat := p.start(object{"command": "echo begin; exec cat", "stdin": "pipe"})
	until("cat waits", cat, true, "none")
	p.ok("control", object{"session_id": cat, "type": "PAUSE"}, nil)
	until("a paused session waits for nobody", cat, false, "none")
	p.ok("control", object{"session_id": cat, "type": "RESUME"}, nil)
	until("cat waits again", cat, true, "none")
	p.ok("write", object{"session_id": cat, "eof": true}, nil)
	p.ok("wait", object{"session_id": cat}, nil)
	until("an ended session", cat, false, "none")

	asleep := p.start(object{"command": "echo begin; exec sleep 1000", "stdin": "pipe"})
	p.event("process.output", asleep)
	for range 10 {
		if a, b := states(asleep); waiting(a) || waiting(b) {
			t.Fatal("a sleep waits for input")
		}
	}
	p.ok("cancel", object{"session_id": asleep}, nil)

	pty := p.start(object{"command": "read name; stty -echo; read password; stty echo; exec sleep 1000", "pty": object{"rows": 24, "cols": 80}})
	until("a name is read", pty, true, "true")
	p.ok("write", object{"session_id": pty, "data": "me\n"}, nil)
	until("a password is read", pty, true, "false")
	p.ok("write", object{"session_id": pty, "data": "secret\n"}, nil)
	until("it sleeps", pty, false, "true")
	p.ok("cancel", object{"session_id": pty, "grace": 0}, nil)
	until("it has ended", pty, false, "none")
}

func echoOf(in rpc.InputState) string {
	if in.Echo == nil {
		return "none"
	}
	return fmt.Sprint(*in.Echo)
}
