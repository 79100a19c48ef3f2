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

// awaitZombie waits until anyone can see that a child of this process has exited.
func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		return // ECHILD says that it was reaped already
	}
}

// Issue 8, section 1: a command that exited before an end was asked for has exited, whatever asked.
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

// The same deterministically: the supervisor is kept from noticing the exit.
func TestExitThatNobodyNoticedIsTheCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		wait   bool
		want   Cause
	}{
		"kill":                                 {"exit 3", false, Exited},
		"kill, with a descendant":              {"sleep 60 & exit 3", false, Exited},
		"wait, with nobody else":               {"exit 3", true, Exited},
		"wait, kept running by a descendant":   {"sleep 60 & exit 3", true, Canceled},
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
			if told := slices.Contains(f.whole(), "canceled"); told != (c.want == Canceled) {
				t.Errorf("the log says that it is canceled: %v", told)
			}
		})
	}
}

// newUnsupervised starts a session that nobody supervises yet.
func newUnsupervised(t *testing.T, spec Spec) *Session {
	t.Helper()
	r := registry(t, Options{})
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

// A command that exits as soon as it goes on was resumed, and that comes before its exit.
func TestResumeThatLeadsToTheExit(t *testing.T) {
	t.Parallel()
	s := run(t, "exec sleep 60", nil)
	f := follow(t, s, cursor)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	err := s.control(func(p tree, _ State) error { // as Resume does, but that the exit comes before it is noted
		_ = syscall.Kill(p.PID(), syscall.SIGKILL)
		awaitZombie(t, p.PID())
		poll(100*time.Millisecond, func() bool { return s.View().State != Paused })
		return s.moveFrom(Paused, Running, func(st *status) { s.appendChange(st, "resumed") })
	})
	if err != nil {
		t.Errorf("resumed: %v", err)
	}
	if got := f.whole(); !slices.Equal(got, []string{"started", "paused", "resumed", "completed"}) {
		t.Errorf("%q", got)
	}
}
