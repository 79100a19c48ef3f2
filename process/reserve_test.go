//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// fillDescriptors takes every descriptor that this process may have, until free is called.
func fillDescriptors(t testing.TB) (free func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	return sync.OnceFunc(func() {
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	})
}

// Issue 8, section 1: to end a tree needs no descriptor that was not there when it started.
func TestTreeEndsWithoutFreeDescriptors(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		const deaf = `trap '' TERM; echo $$; while :; do sleep 60 & wait; done`
		p := startOn(t, h, sh(`setsid sh -c "`+`trap '' TERM; echo \$\$; while :; do sleep 60 & wait; done`+`" & `+deaf))
		pids := []int{readPID(t, p.Stdout()), readPID(t, p.Stdout())}
		free := fillDescriptors(t)
		defer free()
		if _, err := os.Open("/proc"); !errors.Is(err, unix.EMFILE) {
			t.Fatal("there are descriptors left:", err)
		}
		living, livingErr := p.Members()
		errs := errors.Join(p.Pause(), p.Resume(), p.Signal(syscall.SIGURG), p.Terminate(), p.Kill())
		waited := p.WaitExit()
		r := p.Sweep(context.Background(), 0)
		free()
		if livingErr != nil || len(living) < 2 {
			t.Errorf("living: %v, %v", living, livingErr)
		}
		if errs != nil || waited != nil {
			t.Errorf("%v, %v", errs, waited)
		}
		if len(r.Survivors) > 0 || r.Unverified || alive(pids[0]) || alive(pids[1]) {
			t.Errorf("%+v, alive: %v, %v", r, alive(pids[0]), alive(pids[1]))
		}
	})
}

// Without the reserve the same is said to be unknown, and never reported as a tree that is dead.
func TestUninspectedTreeIsNotReportedAsDead(t *testing.T) {
	h := openHost(t, Marker)
	p := startOn(t, h, sh(`setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 60 & wait; done' & sleep 60`))
	pid := readPID(t, p.Stdout())
	if h.reserved {
		fdreserve.Release()
		defer func() { h.reserved = fdreserve.Acquire() == nil }()
	}
	h.pinned.Close() // which would close some later
	free := fillDescriptors(t)
	_, readErr := fdreserve.ReadFile("/proc/self/stat")
	_ = syscall.Kill(p.PID(), syscall.SIGKILL)
	_ = p.WaitExit()
	r := p.Sweep(context.Background(), 0)
	free()
	if !fdreserve.Exhausted(readErr) {
		t.Errorf("without a reserve: %v", readErr)
	}
	if !r.Found || !r.Unverified {
		t.Errorf("%+v, alive: %v", r, alive(pid))
	}
	if err := h.endLeftovers(); err != nil || alive(pid) { // as when the host is closed
		t.Errorf("%v, alive: %v", err, alive(pid))
	}
}
