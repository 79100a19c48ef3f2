package mark

import (
	"errors"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

const (
	// reapDelay is the time from the exit of a child to the search for orphans that are zombies. It
	// bounds how often the reaper searches. Most leaders, whose exit sends the same signal, are
	// reaped by then.
	reapDelay = 5 * time.Millisecond
	// reapDelayBusy is that time after a search that reaped orphans.
	reapDelayBusy = time.Millisecond
	// reapDelayYoung is the time from a fork to the next search while no tree is older than that.
	reapDelayYoung = 10 * time.Millisecond
	// reapBatch is how many orphans are reaped before the locks are released once.
	reapBatch = 64
	// maxReapBatches is how many batches are reaped to find out whether a tree has living
	// processes.
	maxReapBatches = 1024
	// closeWait is how long Close waits for orphans to exit.
	closeWait = 100 * time.Millisecond
)

// ErrForkingTooFast means that processes fork and exit faster than scans can find them.
var ErrForkingTooFast = errors.New("process: processes of the tree fork and exit faster than they can be found")

// reaper is the goroutine that reaps the orphans of a table. It asks for SIGCHLD only while there
// is an orphan or a tree older than reapDelayYoung: for a short command, the signal would cost a
// hundredth of the command's time.
type reaper struct {
	wake      chan os.Signal // SIGCHLD, also sent for a fork; buffers one during a search
	stop      chan struct{}
	done      sync.WaitGroup
	listening atomic.Bool // whether SIGCHLD is sent to wake
	always    atomic.Bool // orphans may come at any time

	// Counted for the tests:
	searches atomic.Uint64 // searches that are done
	requests atomic.Uint64 // requests for SIGCHLD
}

// startReaper starts the reaper. Other users of SIGCHLD in this process are not affected
// (os/signal).
func (t *Table) startReaper() {
	t.reaper.wake = make(chan os.Signal, 1)
	t.reaper.stop = make(chan struct{})
	if os.Getpid() == 1 {
		t.reaper.always.Store(true)
	}
	t.reaper.listen(t.reaper.always.Load())
	t.reaper.done.Go(t.reapLoop)
}

func (r *reaper) listen(on bool) {
	switch {
	case on && !r.listening.Load():
		signal.Notify(r.wake, unix.SIGCHLD)
		r.requests.Add(1)
	case !on && r.listening.Load():
		signal.Stop(r.wake)
	}
	r.listening.Store(on)
}

// wakeReaper makes the reaper search once more.
func (t *Table) wakeReaper() {
	select {
	case t.reaper.wake <- unix.SIGCHLD:
	default:
	}
}

func (t *Table) stopReaper() {
	close(t.reaper.stop)
	t.reaper.done.Wait()
	t.reaper.listen(false)
}

// reapLoop reaps orphans that are zombies after each SIGCHLD and each fork, but waits for a delay
// between two searches.
func (t *Table) reapLoop() {
	r := &t.reaper
	delay, wait := reapDelayYoung, true // for SIGCHLD or a fork
	for {
		if wait {
			select {
			case <-r.wake:
			case <-r.stop:
				return
			}
		}
		newest := t.newestTree()
		select {
		case <-time.After(delay):
		case <-r.stop:
			return
		}
		if r.listening.Load() { // the search finds what exited before this signal
			select {
			case <-r.wake:
			default:
			}
		}
		living, reaped, uncertain := 0, 0, false
		if hasZombieChild() {
			living, reaped, uncertain = t.reapOrphans()
		}
		wait = !uncertain
		if on := uncertain || living > 0 || r.always.Load() || t.hasTreeUpTo(newest); on != r.listening.Load() {
			r.listen(on)
			wait = false // a child may have exited, or have been forked, before the change
		}
		r.searches.Add(1)
		switch {
		case !r.listening.Load():
			delay = reapDelayYoung
		case reaped > 0:
			delay = reapDelayBusy
		default:
			delay = reapDelay
		}
	}
}

// newestTree returns the number of the newest tree.
func (t *Table) newestTree() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

// hasTreeUpTo reports whether there is a tree with at most that number.
func (t *Table) hasTreeUpTo(number uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.trees {
		if e.number <= number {
			return true
		}
	}
	return false
}

// hasZombieChild reports whether a child of this process has exited and is not reaped. It takes 1 µs.
func hasZombieChild() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err == unix.EINTR || err == nil && info.Signo != 0
}

// reapOrphans reaps the orphans that are zombies and counts the living ones. If uncertain is true, a
// zombie may be a leader whose fork has not returned yet; it is not reaped.
func (t *Table) reapOrphans() (living, reaped int, uncertain bool) {
	t.mu.Lock()
	threads := slices.Collect(maps.Keys(t.threads))
	t.mu.Unlock()
	pids, err := procfs.OwnChildren(threads...)
	if err != nil {
		return 0, 0, false
	}
	for batch := range slices.Chunk(pids, reapBatch) {
		l, r, u := t.reapSome(batch)
		living, reaped, uncertain = living+l, reaped+r, uncertain || u
	}
	return living, reaped, uncertain
}

// reapSome is reapOrphans for some children, which were listed before the locks were taken.
func (t *Table) reapSome(pids []int) (living, reaped int, uncertain bool) {
	leader.Reaping.Lock()
	defer leader.Reaping.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range pids {
		switch o, err := t.classify(pid); {
		case err != nil || !o.owned:
		case o.certain && reapIfZombie(pid):
			reaped++
		case o.certain:
			living++
		default:
			uncertain = true
		}
	}
	return living, reaped, uncertain
}

// orphan is a child that was not forked by the table and did not exist before it.
type orphan struct {
	pid     int // 0 for a child that is no orphan
	mark    uint64
	inTree  bool // it has the mark of a tree that was not released
	owned   bool // this table reaps it
	certain bool // it is not a leader whose fork or replacement is not done yet
}

// classify returns what a child is. t.mu is held.
func (t *Table) classify(pid int) (o orphan, err error) {
	if _, forked := t.forked[pid]; forked || t.existedBefore(pid) {
		return o, nil
	}
	o.pid = pid
	if o.mark, err = Read(pid); err != nil {
		return o, err
	}
	e, ok := t.trees[o.mark]
	o.inTree = ok
	if ok {
		o.certain = e.leader != 0 && !e.replacing
	} else {
		o.certain = !t.forkPending && t.replacing == 0 // a new leader may have removed its mark already
	}
	o.owned = t.owns(o.mark)
	return o, nil
}

// Orphans lists the living orphans with a mark. If certain is true, no orphan may have changed its
// mark. If the leader has exited too, then each living process of the tree is in the list or is a
// descendant of a process in the list, because orphans are reparented to this process. The error is
// ErrForkingTooFast if orphans exit faster than they are reaped.
func (t *Table) Orphans(mark uint64) (pids []int, certain bool, err error) {
	t.mu.Lock()
	e := t.trees[mark]
	t.mu.Unlock()
	for range maxReapBatches {
		living, more, err := t.orphansOf(e)
		switch {
		case err != nil:
			return nil, false, nil
		case more:
			continue
		}
		certain = true
		for _, o := range living {
			certain = certain && o.inTree
			if o.mark == mark {
				pids = append(pids, o.pid)
			}
		}
		nested, err := e.orphansInNamespace()
		return append(pids, nested...), certain && err == nil, nil
	}
	return nil, false, ErrForkingTooFast
}

// orphansInNamespace lists the living children of the first process of the PID namespace of a tree.
// Some may be missing if one exits meanwhile; when the tree is closed, the kernel kills all of them.
func (e *treeEntry) orphansInNamespace() (living []int, err error) {
	if e.helper == 0 {
		return nil, nil
	}
	first, err := procfs.StableChildren(e.helper)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	pids, err := procfs.StableChildren(first[0])
	for _, pid := range pids {
		if _, alive, err := proctable.LookupAlive(pid); alive || fdreserve.Exhausted(err) {
			living = append(living, pid)
		}
	}
	return living, err
}

// orphansOf lists the living orphans among the children of the thread that has forked a leader and
// of the first thread, to which all orphans are reparented. It reaps those that are zombies. If more
// is true, it has reaped reapBatch of them and has to be called again.
func (t *Table) orphansOf(e treeEntry) (living []orphan, more bool, err error) {
	leader.Reaping.Lock()
	defer leader.Reaping.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	reaped := 0
	for again := true; again; { // the children of a zombie may have been reparented after the list was read
		again, living = false, living[:0]
		pids, err := t.childrenFor(e)
		if err != nil {
			return nil, false, err
		}
		for _, pid := range pids {
			o, err := t.classify(pid)
			switch {
			case err != nil:
				return nil, false, err
			case o.pid == 0:
			case o.owned && o.certain && reapIfZombie(pid):
				if reaped++; reaped == reapBatch {
					return nil, true, nil
				}
				again = true
			default:
				living = append(living, o)
			}
		}
	}
	return living, false, nil
}

// childrenFor lists the children of those two threads. leader.Reaping and t.mu are held.
func (t *Table) childrenFor(e treeEntry) (pids []int, err error) {
	first, child := os.Getpid(), e.leader
	if _, unreaped := t.forked[child]; !unreaped {
		child = 0
	}
	if e.thread != 0 && e.thread != first {
		if pids, err = t.lists.Read(e.thread, child); err != nil {
			return nil, err
		}
	}
	more, err := t.lists.Read(first, 0)
	return append(pids, more...), err
}

// reapIfZombie reaps a child that has exited. It returns false for one that has not.
func reapIfZombie(pid int) bool {
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == syscall.ECHILD || got == pid
}

// Close waits a moment for orphans to exit and ends the reaping. All trees were released.
func (t *Table) Close() {
	if !t.enabled {
		return
	}
	t.stopReaper()
	if t.marks {
		ceaseSubreaper()
	}
	for end := time.Now().Add(closeWait); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if living, _, uncertain := t.reapOrphans(); living == 0 && !uncertain {
			break
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists.Close()
}
