//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// Issue 8, section 1: of a process of another user it is said that it could not be signalled, and a pause that misses it is
// none. The test runs itself as a user without rights, whose sessions have a process that became root.
func TestProcessOfAnotherUser(t *testing.T) {
	const asked = "RUNNEL_TEST_FOREIGN"
	program := os.Getenv(asked)
	if program == "" {
		if os.Geteuid() != 0 {
			t.Skip("NOT ROOT, so this is not tested: there is no set-user-ID program to be made")
		}
		dir, err := os.MkdirTemp("", "rn")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		text, err := os.ReadFile(compiled(t, "foreign"))
		program = filepath.Join(dir, "foreign")
		err = errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(program, text, 0o755), os.Chmod(program, 0o755|os.ModeSetuid|os.ModeSetgid))
		if err != nil {
			t.Fatal(err)
		}
		asNobody(t, asked+"="+program)
		return
	}
	hosts := map[string]func(*testing.T) *Host{"marker": func(t *testing.T) *Host { return openHost(t, Marker) }}
	for name, sys := range kernels() {
		hosts["group by "+name] = func(*testing.T) *Host { return newHost(sys) }
	}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			alive := filepath.Join(t.TempDir(), "alive")
			if err := os.WriteFile(alive, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			start := func(script string) (*Process, int) {
				p := startOn(t, h, sh("foreign="+program+" alive="+alive+"; "+script))
				t.Cleanup(func() { _ = os.Remove(alive) }) // before it is waited for
				return p, readPID(t, p.Stdout())
			}
			someone, foreign := start(`$foreign $alive & wait`)
			if missed, err := someone.Deliver(syscall.SIGURG); err != nil || !slices.Equal(missed, []int{foreign}) {
				t.Errorf("a signal missed %v, %v; want %d", missed, err, foreign)
			}
			var denied *NotPermittedError
			if err := someone.Pause(); !errors.As(err, &denied) || !slices.Equal(denied.PIDs, []int{foreign}) {
				t.Errorf("paused: %v", err)
			}
			if !poll(func() bool { return state(someone.PID()) == 'S' }) {
				t.Errorf("after a pause that failed it is %c", state(someone.PID()))
			}
			nobody, all := start(`exec $foreign $alive`)
			for what, err := range map[string]error{
				"signal": failure(nobody.Deliver(syscall.SIGURG)), "pause": nobody.Pause(), "signal of the leader": nobody.SignalLeader(syscall.SIGURG),
			} {
				if !errors.As(err, &denied) || !slices.Equal(denied.PIDs, []int{all}) {
					t.Errorf("%s of a process that is root: %v", what, err)
				}
			}
			if h.kind != Marker {
				return
			}
			// One that cannot be ended is a survivor, and an error when the host is closed.
			left, survivor := start(`$foreign $alive & exit`)
			_ = left.WaitExit()
			if r := left.Sweep(context.Background(), 0); !slices.Equal(r.Survivors, []int{survivor}) || r.Unverified {
				t.Errorf("%+v", r)
			}
			if err := h.endLeftovers(); err == nil {
				t.Error("a host with a survivor closes without an error")
			}
			_ = os.Remove(alive)
			if !poll(func() bool { return h.endLeftovers() == nil }) {
				t.Error("the host still has a survivor")
			}
		})
	}
}

// failure is the error of a call that returns something else, too.
func failure[T any](_ T, err error) error { return err }
