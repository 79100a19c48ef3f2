//go:build linux

package session

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
)

// awaitZombie waits until a child of this process has exited, without reaping it.
func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		return // ECHILD means that it was reaped already
	}
}

// TestExitBeforeTheRequestIsTheCause checks that the cause is Exited if the command exits before
// End is called.
func TestExitBeforeTheRequestIsTheCause(t *testing.T) {
	for name, cause := range map[string]Cause{
		"cancel": Canceled, "timeout": TimedOut, "stream timeout": StreamTimedOut, "disconnect": Disconnected, "shutdown": Shutdown,
	} {
		t.Run(name, func(t *testing.T) {
			r := registry(t, Options{})
			var all sync.WaitGroup
			for i := range 300 {
				script, code := "exit 3", 3
				if i%3 == 0 {
					script, code = "kill -9 $$", -1
				}
				s := start(t, r, sh(fmt.Sprint(i), script))
				all.Go(func() {
					awaitZombie(t, s.View().PID)
					s.End(cause, nil)
					if rec := ended(t, s); rec.Cause != Exited || rec.Exit.Code != code || rec.Escalated {
						t.Errorf("%+v", rec)
					}
				})
				if i%16 == 0 {
					all.Wait()
				}
			}
			all.Wait()
		})
	}
}

// TestUnnoticedExitIsTheCause checks that the cause is Exited also if the supervisor has not
// noticed the exit.
func TestUnnoticedExitIsTheCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		wait   bool
		want   Cause
	}{
		"kill":                                 {"exit 3", false, Exited},
		"kill, with a descendant":              {"sleep 60 & exit 3", false, Exited},
		"wait, without descendants":            {"exit 3", true, Exited},
		"wait, with a descendant":              {"sleep 60 & exit 3", true, Canceled},
		"kill, and the command has not exited": {"exec sleep 60", false, Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := sh("session", c.script)
			spec.WaitForTree = c.wait
			s := newUnsupervised(t, spec)
			if c.script != "exec sleep 60" {
				awaitZombie(t, s.View().PID)
			}
			s.End(Canceled, nil)
			s.reg.supervise(s, s.status.proc.(*process.Process))
			f := follow(t, s, cursor)
			rec := ended(t, s)
			if rec.Cause != c.want || rec.Escalated {
				t.Errorf("%+v", rec)
			}
			if canceled := slices.Contains(f.whole(), "canceled"); canceled != (c.want == Canceled) {
				t.Errorf("the log has a canceled event: %v", canceled)
			}
		})
	}
}

// newUnsupervised starts a session without a supervisor.
func newUnsupervised(t *testing.T, spec Spec) *Session {
	t.Helper()
	r := unspooled(t, Options{})
	s := reserve(t, r, spec)
	p, err := r.o.Host.Start(spec.Program)
	if err != nil {
		t.Fatal(err)
	}
	s.openStdin(p)
	s.setRunning(p, time.Now())
	close(s.ready)
	return s
}

// TestResumeThatLeadsToTheExit checks that the resume is in the log if it makes the command exit.
func TestResumeThatLeadsToTheExit(t *testing.T) {
	t.Parallel()
	s := run(t, "exec sleep 60", nil)
	f := follow(t, s, cursor)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	err := s.control(func(p tree, _ State) error { // like Resume, but the command exits before the state changes
		_ = syscall.Kill(p.PID(), syscall.SIGKILL)
		awaitZombie(t, p.PID())
		poll(100*time.Millisecond, func() bool { return s.View().State != Paused })
		return s.moveFrom(Paused, Running, func(st *sessionStatus) { s.appendChange(st, "resumed") })
	})
	if err != nil {
		t.Errorf("resumed: %v", err)
	}
	if got := f.whole(); !slices.Equal(got, []string{"started", "paused", "resumed", "completed"}) {
		t.Errorf("%q", got)
	}
}
