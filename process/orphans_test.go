//go:build linux

package process

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A tree that leaves dead orphans all the time does not use up its limit of processes: zombies count.
func TestDeadOrphansDoNotUseUpTheLimit(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		needs(t, h, Processes)
		spec := sh(`i=0; while [ $i -lt 100 ]; do (true &); sleep .01; i=$((i+1)); done`)
		spec.Limits = Limits{Processes: 32}
		p := startOn(t, h, spec)
		said, _ := readAll(p.Stderr())
		_ = p.WaitExit()
		if exit := finish(p); exit.Code != 0 || said != "" {
			t.Errorf("%+v, stderr: %s", exit, said)
		}
	})
}

// zombies counts our children that are dead.
func zombies() (n int) {
	for _, child := range children() {
		if pid, _ := strconv.Atoi(child); state(pid) == 'Z' {
			n++
		}
	}
	return n
}

// When many orphans die at once, others get the locks after each batch that is reaped; a tree is still proved dead.
func TestReapingIsBoundedPerBatch(t *testing.T) {
	h := openHost(t, Marker)
	h.table.stopReaper()
	defer h.table.startReaper()
	const some = 3 * reapBatch
	p := startOn(t, h, sh(`i=0; while [ $i -lt `+strconv.Itoa(some)+` ]; do (true &); i=$((i+1)); done; echo; exec sleep 60`))
	_ = readLine(t, p.Stdout())
	if !poll(func() bool { return zombies() >= some }) {
		t.Fatalf("%d orphans are dead", zombies())
	}
	for want := some - reapBatch; want > 0; want -= reapBatch {
		_, more, err := h.table.orphans(treeEntry{})
		if err != nil || !more || zombies() != want {
			t.Errorf("more: %v, %v; %d orphans are left, want %d", more, err, zombies(), want)
		}
	}
	mark := p.tree.(*marker).mark
	if pids, certain, err := h.table.orphansMarked(mark); len(pids) > 0 || !certain || err != nil || zombies() > 0 {
		t.Errorf("%v, certain: %v, %v; %d orphans are left", pids, certain, err, zombies())
	}
}

// Orphans die in thousands while trees start and end; nobody is taken for an orphan who is none, and all are reaped.
func TestTreesEndWhileOrphansDie(t *testing.T) {
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
		t.Errorf("left: %v", children())
	}
}

// Who else in the process waits for SIGCHLD gets it, also after the host is closed.
func TestOthersGetSIGCHLD(t *testing.T) {
	mine := make(chan os.Signal, 1)
	signal.Notify(mine, unix.SIGCHLD)
	defer signal.Stop(mine)
	h, err := Open(Options{Containment: Marker})
	if err != nil {
		t.Skip(err)
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

// Signals are taken only while they can tell of an orphan.
func TestReaperListensWhileThereMayBeOrphans(t *testing.T) {
	h := openHost(t, Marker)
	listening := func(want bool) bool {
		return poll(func() bool { return h.table.reaper.listening.Load() == want })
	}
	short := startOn(t, h, Spec{Argv: []string{"true"}, Env: testEnv})
	_ = short.WaitExit()
	finish(short)
	time.Sleep(3 * reapDelayYoung)
	if h.table.reaper.listening.Load() {
		t.Error("it listens after a short command")
	}
	p := startOn(t, h, sh("exec sleep 60"))
	if !listening(true) {
		t.Error("it does not listen while a command runs")
	}
	finish(p)
	if !listening(false) {
		t.Error("it listens after all have ended")
	}
	p = startOn(t, h, sh("(sleep 60 &); echo; exec sleep 60"))
	_ = readLine(t, p.Stdout())
	p.usage.doubt()
	finish(p)
	time.Sleep(3 * reapDelayYoung)
	if !h.table.reaper.listening.Load() {
		t.Error("it does not listen where an orphan may be left")
	}
}

// A leader that is never reaped becomes an orphan when its Process is closed.
func TestUnreapedLeaderIsAnOrphan(t *testing.T) {
	h := openHost(t, Marker)
	p, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.WaitExit()
	time.Sleep(4 * reapDelay) // so that the look is over that its death caused
	p.Close()
	if !poll(func() bool { return len(children()) == 0 }) {
		t.Errorf("left: %v", children())
	}
	if _, err := syscall.Wait4(p.PID(), nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Error(err)
	}
}
