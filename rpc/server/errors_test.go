package server

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// TestNotPermittedProcessesAreListed: errors of signals have their kinds, and the pids of
// processes that could not be signaled.
func TestNotPermittedProcessesAreListed(t *testing.T) {
	err := fmt.Errorf("pause: %w", &process.NotPermittedError{PIDs: []int{7, 9}})
	e, ok := rpcError(err, "")
	if !ok || e.Code != rpc.CodeNotRunning || string(mustMarshal(e.Data)) != `{"kind":"not_permitted","pids":[7,9]}` {
		t.Errorf("%+v, known %v", e, ok)
	}
	e, ok = rpcError(session.ErrLeaderExited, "")
	if !ok || e.Code != rpc.CodeNotRunning || string(mustMarshal(e.Data)) != `{"kind":"command_exited"}` {
		t.Errorf("%+v, known %v", e, ok)
	}
}

// TestUnverifiedSurvivors: survivors_verified is false if the tree could not be inspected.
func TestUnverifiedSurvivors(t *testing.T) {
	r := &session.Record{Exit: process.Exit{Code: -1, Signal: syscall.SIGKILL, Known: true}, Survivors: []int{7}}
	if c := completion(named{"id", "user"}, r); !c.SurvivorsVerified {
		t.Errorf("%+v", c)
	}
	r.Unverified = true
	if c := completion(named{"id", "user"}, r); c.SurvivorsVerified || len(c.Survivors) != 1 {
		t.Errorf("%+v", c)
	}
}
