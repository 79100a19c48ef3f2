//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	reserve := reserves.one.Swap(nil)
	h.heldFiles.close() // which would close some later
	free := fillDescriptors(t)
	_ = syscall.Kill(p.PID(), syscall.SIGKILL)
	_ = p.WaitExit()
	r := p.Sweep(context.Background(), 0)
	free()
	reserves.one.Store(reserve)
	if !r.Found || !r.Unverified {
		t.Errorf("%+v, alive: %v", r, alive(pid))
	}
	if err := h.endLeftovers(); err != nil || alive(pid) { // as when the host is closed
		t.Errorf("%v, alive: %v", err, alive(pid))
	}
}

// The reserve is a thread of the runtime's like any other, but for its table: it may collect garbage, and wake up the poller.
func TestReserveBesideTheRuntime(t *testing.T) {
	if err := openReserve(); err != nil {
		t.Fatal(err)
	}
	defer closeReserve()
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Microsecond):
				}
			}
		})
	}
	var garbage [][]byte
	for i := range 3000 {
		n, err := onReserve(func() (int, error) {
			garbage = append(garbage[:min(len(garbage), 10)], make([]byte, 64<<10))
			if i%100 == 0 {
				runtime.GC()
			}
			text, err := readFile("/proc/self/stat")
			return len(text), err
		}, unix.EMFILE)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		if i%10 == 0 {
			time.Sleep(20 * time.Microsecond)
		}
	}
	close(stop)
	others.Wait()
	names, err := onReserve(func() ([]string, error) { return listNames("/proc/thread-self/fd") }, unix.EMFILE)
	if err != nil || len(names) > 5 { // standard error, the two of the poller, and the one that reads this
		t.Errorf("it has %v, %v", names, err)
	}
}
