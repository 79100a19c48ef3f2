//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// TestTreeEndsWithoutFreeDescriptors checks that ending a tree needs no descriptor that was not
// open when it started.
func TestTreeEndsWithoutFreeDescriptors(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		const deaf = `trap '' TERM; echo $$; while :; do sleep 60 & wait; done`
		p := startOn(t, h, sh(`setsid sh -c "`+`trap '' TERM; echo \$\$; while :; do sleep 60 & wait; done`+`" & `+deaf))
		pids := []int{readPID(t, p.Stdout()), readPID(t, p.Stdout())}
		free := proctest.FillDescriptors(t)
		defer free()
		if _, err := os.Open("/proc"); !errors.Is(err, unix.EMFILE) {
			t.Fatal("descriptors are free:", err)
		}
		members, listErr := p.Members()
		errs := errors.Join(p.Pause(), p.Resume(), p.Signal(syscall.SIGURG), p.Terminate(), p.Kill())
		waited := p.WaitExit()
		r := p.Sweep(context.Background(), 0)
		free()
		if listErr != nil || len(members) < 2 {
			t.Errorf("Members = %v, %v", members, listErr)
		}
		if errs != nil || waited != nil {
			t.Errorf("signals: %v, WaitExit: %v", errs, waited)
		}
		if len(r.Survivors) > 0 || r.Unverified || alive(pids[0]) || alive(pids[1]) {
			t.Errorf("Sweep = %+v; alive: %v, %v", r, alive(pids[0]), alive(pids[1]))
		}
	})
}

// TestUnlistedTreeIsUnverified checks that without free descriptors and without a reserve the end
// of a tree is reported as unverified.
func TestUnlistedTreeIsUnverified(t *testing.T) {
	h := openHost(t, Marker)
	p := startOn(t, h, sh(`setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 60 & wait; done' & sleep 60`))
	pid := readPID(t, p.Stdout())
	if h.reserved {
		fdreserve.Release()
		defer func() { h.reserved = fdreserve.Acquire() == nil }()
	}
	h.pinned.Close() // else pinned files are closed later, and descriptors become free
	free := proctest.FillDescriptors(t)
	_, readErr := fdreserve.ReadFile("/proc/self/stat")
	_ = syscall.Kill(p.PID(), syscall.SIGKILL)
	_ = p.WaitExit()
	r := p.Sweep(context.Background(), 0)
	free()
	if !fdreserve.Exhausted(readErr) {
		t.Errorf("ReadFile without a free descriptor and without a reserve: %v", readErr)
	}
	if !r.Found || !r.Unverified {
		t.Errorf("Sweep = %+v; alive: %v", r, alive(pid))
	}
	if err := h.endLeftovers(); err != nil || alive(pid) { // as Close does
		t.Errorf("endLeftovers: %v; alive: %v", err, alive(pid))
	}
}
