//go:build linux

package process

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestZombiesDoNotUseUpTheLimit checks that orphans are reaped while the tree runs, since zombies
// count for the limit of processes.
func TestZombiesDoNotUseUpTheLimit(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		t.Parallel()
		needs(t, h, Processes)
		spec := sh(`i=0; while [ $i -lt 100 ]; do (true &); sleep .01; i=$((i+1)); done`)
		spec.Limits = Limits{Processes: 32}
		p := startOn(t, h, spec)
		stderr, _ := readAll(p.Stderr())
		_ = p.WaitExit()
		if exit := finish(p); exit.Code != 0 || stderr != "" {
			t.Errorf("%+v, stderr: %s", exit, stderr)
		}
	})
}

// TestTreesEndWhileOrphansExit checks that no leader is reaped as an orphan while thousands of
// orphans exit, and that all orphans are reaped.
func TestTreesEndWhileOrphansExit(t *testing.T) {
	h := openHost(t, Marker)
	storm := startOn(t, h, sh(`while :; do (true &); (true &); done`))
	for range 30 {
		p := startOn(t, h, sh("(true &); exit 7"))
		if err := p.WaitExit(); err != nil {
			t.Error(err)
		}
		if exit := finish(p); exit.Code != 7 || !exit.Known {
			t.Errorf("%+v", exit)
		}
	}
	finish(storm)
	if !poll(func() bool { return len(children()) == 0 }) {
		t.Errorf("children are left: %v", children())
	}
}

// TestOthersReceiveSIGCHLD checks that other code of this process receives SIGCHLD too, also after
// the host is closed.
func TestOthersReceiveSIGCHLD(t *testing.T) {
	mine := make(chan os.Signal, 1)
	signal.Notify(mine, unix.SIGCHLD)
	defer signal.Stop(mine)
	h, err := Open(Options{Containment: Marker})
	if err != nil {
		skipUnlessRequired(t, Marker, err)
	}
	for range 2 {
		select {
		case <-mine:
		default:
		}
		p, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-mine:
		case <-time.After(patience):
			t.Error("no SIGCHLD")
		}
		finish(p)
		_ = h.Close()
		h = nil
	}
}

// TestUnreapedLeaderIsAnOrphan checks that a leader that is never reaped becomes an orphan when its
// Process is closed.
func TestUnreapedLeaderIsAnOrphan(t *testing.T) {
	h := openHost(t, Marker)
	p, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.WaitExit()
	// Until the reaper has searched after the exit. The search cannot be observed here; package mark
	// has a test that waits for it.
	time.Sleep(20 * time.Millisecond)
	p.Close()
	if !poll(func() bool { return len(children()) == 0 }) {
		t.Errorf("children are left: %v", children())
	}
	if _, err := syscall.Wait4(p.PID(), nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Error(err)
	}
}
