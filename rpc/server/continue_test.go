//go:build linux

package server_test

import (
	"testing"

	"github.com/runnel-rpc/runnel/process"
)

// withEachContainment runs a test with process groups, and under every other containment.
func withEachContainment(t *testing.T, f func(t *testing.T, s *service)) {
	t.Run("group", func(t *testing.T) { f(t, serve(t, func(set *settings) { set.Session.Host = nil })) })
	held(t, func(t *testing.T, s *service, _ *process.Host) { f(t, s) })
}

// awaitStopped waits until a process is stopped by a signal.
func awaitStopped(t testing.TB, pid int) {
	t.Helper()
	eventually(t, "the process is stopped", func() bool { fields := stat(pid); return len(fields) > 0 && fields[0] == "T" })
}

// startStopped starts a command that has stopped itself, with what it does then. It returns the session
// and the process.
func (p *peer) startStopped(then string) (id string, pid int) {
	p.t.Helper()
	id = p.start(object{"command": "kill -STOP $$; " + then, "grace": testTimeout.Seconds()})
	var st struct{ PID int }
	p.ok("status", object{"session_id": id}, &st)
	awaitStopped(p.t, st.PID)
	return id, st.PID
}

// TestContinue: SIGCONT continues a command that has stopped itself, and a pending signal takes effect.
// A paused session is not continued.
func TestContinue(t *testing.T) {
	withEachContainment(t, func(t *testing.T, s *service) {
		p := s.dial(t)
		send := func(id, signal, to string) {
			t.Helper()
			p.ok("control", object{"session_id": id, "type": "SIGNAL", "signal": signal, "to": to}, nil)
		}
		for _, to := range []string{"tree", "leader"} {
			id, _ := p.startStopped("exit 7")
			send(id, "SIGCONT", to)
			if rec := p.completed(id); rec.Reason != "exited" || rec.ExitCode == nil || *rec.ExitCode != 7 {
				t.Errorf("%s: %+v", to, rec)
			}
		}
		id, pid := p.startStopped("exit 7")
		send(id, "SIGTERM", "tree")
		p.ok("control", object{"session_id": id, "type": "PAUSE"}, nil)
		for _, to := range []string{"tree", "leader"} {
			e := p.fails(-32005, "control", object{"session_id": id, "type": "SIGNAL", "signal": "SIGCONT", "to": to})
			if e.Data["state"] != "paused" {
				t.Errorf("%+v", e)
			}
		}
		if !alive(pid) {
			t.Error("the command was continued while it was paused")
		}
		p.ok("control", object{"session_id": id, "type": "RESUME"}, nil) // which may continue it
		p.call("control", object{"session_id": id, "type": "SIGNAL", "signal": "SIGCONT"})
		if rec := p.completed(id); rec.Reason != "signaled" || deref(rec.Signal) != "SIGTERM" {
			t.Errorf("%+v", rec)
		}
	})
}

// TestCancelContinues: a cancel ends a command that has stopped itself by its first signal, long before
// the grace passes.
func TestCancelContinues(t *testing.T) {
	withEachContainment(t, func(t *testing.T, s *service) {
		p := s.dial(t)
		for _, signal := range []string{"SIGTERM", "SIGINT"} {
			id, _ := p.startStopped("exit 7")
			p.ok("cancel", object{"session_id": id, "signal": signal}, nil)
			if rec := p.completed(id); rec.Reason != "canceled" || deref(rec.Signal) != signal || rec.Escalated {
				t.Errorf("%+v", rec)
			}
		}
	})
}

// TestPauseAndContinueExclude: a SIGCONT that arrives together with a PAUSE never continues a paused
// session.
func TestPauseAndContinueExclude(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.Host = nil })
	p, q := s.dial(t), s.dial(t)
	id := p.start(sleeper)
	var st struct{ PID int }
	p.ok("status", object{"session_id": id}, &st)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				q.call("control", object{"session_id": id, "type": "SIGNAL", "signal": "SIGCONT"})
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for range rounds(200, 1000) {
		p.ok("control", object{"type": "PAUSE"}, nil)
		awaitStopped(t, st.PID)
		p.ok("control", object{"type": "RESUME"}, nil)
	}
}
