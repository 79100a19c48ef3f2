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

// TestProcessOfAnotherUser checks that a process that has changed its user is reported as not
// signaled, and that Pause fails if there is one. The test runs itself as a user without rights; a
// set-user-ID program makes a process of its trees a process of root.
func TestProcessOfAnotherUser(t *testing.T) {
	const variable = "RUNNEL_TEST_FOREIGN"
	program := os.Getenv(variable)
	if program == "" {
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED, only root can make a set-user-ID program")
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
		binary := ownCopy(t)
		runParallel(t)
		runAsNobody(t, binary, variable+"="+program)
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
				t.Cleanup(func() { _ = os.Remove(alive) }) // before the cleanup of startOn
				return p, readPID(t, p.Stdout())
			}
			mixed, foreign := start(`$foreign $alive & wait`)
			if denied, err := mixed.Deliver(syscall.SIGURG); err != nil || !slices.Equal(denied, []int{foreign}) {
				t.Errorf("Deliver() = %v, %v; want %d", denied, err, foreign)
			}
			var denied *NotPermittedError
			if err := mixed.Pause(); !errors.As(err, &denied) || !slices.Equal(denied.PIDs, []int{foreign}) {
				t.Errorf("Pause: %v", err)
			}
			if !poll(func() bool { return state(mixed.PID()) == 'S' }) {
				t.Errorf("after a failed Pause the leader has state %c", state(mixed.PID()))
			}
			foreignLeader, all := start(`exec $foreign $alive`)
			for what, err := range map[string]error{
				"signal": failure(foreignLeader.Deliver(syscall.SIGURG)), "pause": foreignLeader.Pause(), "signal of the leader": foreignLeader.SignalLeader(syscall.SIGURG),
			} {
				if !errors.As(err, &denied) || !slices.Equal(denied.PIDs, []int{all}) {
					t.Errorf("%s of a process of root: %v", what, err)
				}
			}
			if h.kind != Marker {
				return
			}
			// A process that cannot be killed is a survivor, and an error of Close.
			left, survivor := start(`$foreign $alive & exit`)
			_ = left.WaitExit()
			if r := left.Sweep(context.Background(), 0); !slices.Equal(r.Survivors, []int{survivor}) || r.Unverified {
				t.Errorf("%+v", r)
			}
			if err := h.endLeftovers(); err == nil {
				t.Error("Close of a host with a survivor returns no error")
			}
			_ = os.Remove(alive)
			if !poll(func() bool { return h.endLeftovers() == nil }) {
				t.Error("endLeftovers returns an error after the process has ended")
			}
		})
	}
}

// failure returns the error of a call with two results.
func failure[T any](_ T, err error) error { return err }
