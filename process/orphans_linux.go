package process

import (
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

const (
	// reapDelay is the time from the death of a child to the look for dead orphans. It bounds how often that is done,
	// and most leaders, whose death is announced by the same signal, have been reaped by then.
	reapDelay = 5 * time.Millisecond
	// reapDelayBusy is the same after a look that found dead orphans: there may be more of them soon.
	reapDelayBusy = time.Millisecond
	// reapDelayYoung is the time from a fork to the next look while no tree is older than that.
	reapDelayYoung = 10 * time.Millisecond
	// reapBatch is how many orphans are reaped at most before the locks are released for others.
	reapBatch = 64
	// maxReapBatches is how many batches are reaped at most to learn whether a tree is dead.
	maxReapBatches = 1024
	// orphanDelay is how long close waits for orphans that are about to die.
	orphanDelay = 100 * time.Millisecond
)

// reaper is the goroutine that reaps the orphans of a brood when they die. It takes SIGCHLD only while there is a tree older than
// reapDelayYoung or an orphan: for short commands, each signal would cost as much as a hundredth of the command.
type reaper struct {
	deaths    chan os.Signal // SIGCHLD, also for a fork; one is kept while a look is under way
	stop      chan struct{}
	done      sync.WaitGroup
	listening atomic.Bool // it gets SIGCHLD
	always    atomic.Bool // orphans may come at any time
}

// startReaper starts it. Other users of SIGCHLD in this process are not affected (os/signal).
func (b *childTable) startReaper() {
	b.reaper.deaths = make(chan os.Signal, 1)
	b.reaper.stop = make(chan struct{})
	if os.Getpid() == 1 {
		b.reaper.always.Store(true)
	}
	b.reaper.listen(b.reaper.always.Load())
	b.reaper.done.Go(b.reapDeaths)
}

// listen turns the signals on and off.
func (r *reaper) listen(on bool) {
	switch {
	case on && !r.listening.Load():
		signal.Notify(r.deaths, unix.SIGCHLD)
	case !on && r.listening.Load():
		signal.Stop(r.deaths)
	}
	r.listening.Store(on)
}

// lookAgain makes the reaper search once more.
func (b *childTable) lookAgain() {
	select {
	case b.reaper.deaths <- unix.SIGCHLD:
	default:
	}
}

func (b *childTable) stopReaper() {
	close(b.reaper.stop)
	b.reaper.done.Wait()
	b.reaper.listen(false)
}

// reapDeaths looks for dead orphans after each SIGCHLD and each fork, but no more often than once in a delay.
func (b *childTable) reapDeaths() {
	r := &b.reaper
	delay, again := reapDelayYoung, false
	for {
		if !again {
			select {
			case <-r.deaths:
			case <-r.stop:
				return
			}
		}
		before := b.newest()
		select {
		case <-time.After(delay):
		case <-r.stop:
			return
		}
		if r.listening.Load() { // a look sees whoever died before it
			select {
			case <-r.deaths:
			default:
			}
		}
		living, reaped := 0, 0
		if again = false; someDead() {
			living, reaped, again = b.reapOrphans()
		}
		if on := again || living > 0 || r.always.Load() || b.olderThan(before); on != r.listening.Load() {
			r.listen(on)
			again = true // for who died or was forked before that
		}
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

// newest counts the trees that were started.
func (b *childTable) newest() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next
}

// olderThan says whether a tree was started before newest was n.
func (b *childTable) olderThan(n uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range b.trees {
		if of.number <= n {
			return true
		}
	}
	return false
}

// someDead says whether a child of this process is dead and not reaped, in 1 µs.
func someDead() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err == unix.EINTR || err == nil && info.Signo != 0
}

// reapOrphans reaps the orphans that are dead and counts those that live. It releases the locks after each reapBatch.
// With again, a child is dead that may be a leader whose fork is not over.
func (b *childTable) reapOrphans() (living, reaped int, again bool) {
	b.mu.Lock()
	threads := slices.Collect(maps.Keys(b.threads))
	b.mu.Unlock()
	pids, err := procfs.OwnChildren(threads...)
	if err != nil {
		return 0, 0, false
	}
	for batch := range slices.Chunk(pids, reapBatch) {
		l, r, a := b.reapAmong(batch)
		living, reaped, again = living+l, reaped+r, again || a
	}
	return living, reaped, again
}

// reapAmong does that for some children. One of the numbers may have come to be another child's meanwhile.
func (b *childTable) reapAmong(pids []int) (living, reaped int, again bool) {
	reaping.Lock()
	defer reaping.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, pid := range pids {
		switch o, err := b.look(pid); {
		case err != nil || !o.ours:
		case o.known && reapDead(pid):
			reaped++
		case o.known:
			living++
		default:
			again = true
		}
	}
	return living, reaped, again
}

// orphan is a child that is no leader and was not there before.
type orphan struct {
	pid   int
	mark  uint64
	tree  bool // it bears the mark of a tree that was not released
	ours  bool // to be reaped by this host
	known bool // it is certainly no leader
}

// look says what a child is; ours is false for a leader. b.mu is held.
func (b *childTable) look(pid int) (o orphan, err error) {
	if _, leader := b.leaders[pid]; leader || b.wasBefore(pid) {
		return o, nil
	}
	o.pid = pid
	if o.mark, err = readMark(pid); err != nil {
		return o, err
	}
	of, tree := b.trees[o.mark]
	o.tree = tree
	o.known = !b.forking || tree && of.leader != 0 // else it may be a leader, which may even have shed its mark
	o.ours = b.owns(o.mark)
	return o, nil
}

// orphansMarked lists the living orphans that bear a mark. If certain is true and the leader is dead, no other descendant of it
// lives: a descendant would be one of our own children or have an ancestor among them, since orphans become our children,
// and none of those has changed or lost its mark. ErrElusive says that orphans die faster than they are reaped.
func (b *childTable) orphansMarked(mark uint64) (pids []int, certain bool, err error) {
	b.mu.Lock()
	of := b.trees[mark]
	b.mu.Unlock()
	for range maxReapBatches {
		living, more, err := b.orphans(of)
		switch {
		case err != nil:
			return nil, false, nil
		case more:
			continue
		}
		certain = true
		for _, o := range living {
			certain = certain && o.tree
			if o.mark == mark {
				pids = append(pids, o.pid)
			}
		}
		return pids, certain, nil
	}
	return nil, false, ErrElusive
}

// orphans lists the living orphans among the children of the thread that forked a leader and of the first thread, to which all
// orphans come, and reaps the dead ones. If more is true it has reaped reapBatch and has to be called again.
func (b *childTable) orphans(of treeEntry) (living []orphan, more bool, err error) {
	reaping.Lock()
	defer reaping.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	reaped := 0
	for again := true; again; { // until nobody was found dead: its children came to us after the list was read
		again, living = false, living[:0]
		pids, err := b.childrenOf(of)
		if err != nil {
			return nil, false, err
		}
		for _, pid := range pids {
			o, err := b.look(pid)
			switch {
			case err != nil:
				return nil, false, err
			case o.pid == 0:
			case o.ours && o.known && reapDead(pid):
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

// childrenOf lists the children of those two threads. reaping and b.mu are held.
func (b *childTable) childrenOf(of treeEntry) (pids []int, err error) {
	first, leader := os.Getpid(), of.leader
	if _, unreaped := b.leaders[leader]; !unreaped {
		leader = 0
	}
	if of.thread != 0 && of.thread != first {
		if pids, err = b.lists.Read(of.thread, leader); err != nil {
			return nil, err
		}
	}
	more, err := b.lists.Read(first, 0)
	return append(pids, more...), err
}

// reapDead reaps a child that is dead, and is false for one that lives.
func reapDead(pid int) bool {
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == syscall.ECHILD || got == pid
}

// close ends all reaping. All trees were released; it waits a moment for orphans that are about to die.
func (b *childTable) close() {
	b.stopReaper()
	if b.adopts {
		adoptNone()
	}
	for end := time.Now().Add(orphanDelay); time.Now().Before(end); time.Sleep(firstLook) {
		if living, _, again := b.reapOrphans(); living == 0 && !again {
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lists.Close()
}
