package process

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A mark is a soft RLIMIT_RTTIME (getrlimit(2)): it bounds processes of the real-time schedulers alone, and at
// 2^62 µs not even those. Every process inherits it through fork, exec, setsid and a change of user, and the same user
// may read it of any process (prlimit(2)). Its bits: 01, 30 that name the server, 32 that name the tree.
const (
	markBase     = 1 << 62
	markInstance = 32 // the place of the server's bits
	maxInstance  = 1 << 30
)

func isMark(v uint64) bool { return v>>62 == 1 }

func instanceOf(mark uint64) uint64 { return mark &^ markBase >> markInstance }

func markOf(instance, n uint64) uint64 {
	return markBase | instance<<markInstance | n&(1<<markInstance-1)
}

// readMark is the mark of a process, 0 for none. ESRCH says that there is no such process.
func readMark(pid int) (uint64, error) {
	var limit unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &limit)
	if err == unix.EPERM { // it has another user now
		limit.Cur, err = readLimitsFile(pid)
	}
	if err != nil || !isMark(limit.Cur) {
		return 0, err
	}
	return limit.Cur, nil
}

// readLimitsFile is the same from /proc/PID/limits, which everybody may read and which takes ten times as long.
func readLimitsFile(pid int) (uint64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		return 0, unix.ESRCH
	}
	return parseLimits(text), nil
}

// spawning is held while this process has the mark of the child that it forks. There is one, whatever number of hosts.
var spawning sync.Mutex

const (
	orphanDelay = 100 * time.Millisecond // after the end of a tree, for those of its orphans that are dead
	orphanPause = time.Second            // from one look for dead orphans to the next, while there are trees
)

// brood is the children of this process that bear the marks of one host: leaders of trees, and orphans of theirs,
// since this process adopts those (PR_SET_CHILD_SUBREAPER).
type brood struct {
	instance uint64
	hard     uint64
	own      uint64         // the soft limit of this process itself
	all      bool           // whatever comes to us is an orphan, marked or not
	before   map[int]uint64 // children that were there before, and when each was started

	mu      sync.Mutex
	trees   map[uint64]offspring // by mark, those that were not released
	leaders map[int]uint64
	threads map[int]bool // that have forked, and the first one
	next    uint64
	forking bool        // there is a leader that is in neither
	look    *time.Timer // for dead orphans
	due     time.Time   // when that is
	closed  bool
	looking sync.WaitGroup
}

// offspring is a leader's number, 0 while it is forked, and that of the thread that forked it.
type offspring struct{ leader, thread int }

// errMarked says that this process is itself in a tree of another server's, whose mark its children have to keep.
var errMarked = errors.New("this process bears the mark of another server")

// newBrood checks that marks work here, and makes this process the parent of orphans.
func newBrood(instance uint64) (*brood, error) {
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_RTTIME, nil, &limit); err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	switch {
	case isMark(limit.Cur):
		return nil, errMarked
	case limit.Max < markOf(maxInstance-1, 1<<32-1):
		return nil, fmt.Errorf("the hard limit RLIMIT_RTTIME is %d", limit.Max)
	}
	b := &brood{
		instance: instance, hard: limit.Max, own: limit.Cur,
		trees: make(map[uint64]offspring), leaders: make(map[int]uint64), threads: map[int]bool{os.Getpid(): true}, before: make(map[int]uint64), next: uint64(rand.Uint32()),
	}
	reaping.Lock()
	defer reaping.Unlock()
	pids, err := childrenOf(os.Getpid())
	if err == nil {
		err = adopt()
	}
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		if started := startOf(pid); started != 0 {
			b.before[pid] = started
		}
	}
	return b, nil
}

// adopting counts the broods, for which this process adopts orphans.
var adopting struct {
	sync.Mutex
	broods int
}

// adopt makes this process the parent of orphans, for one brood more.
func adopt() error {
	adopting.Lock()
	defer adopting.Unlock()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	adopting.broods++
	return nil
}

// adoptNone undoes that.
func adoptNone() {
	adopting.Lock()
	defer adopting.Unlock()
	if adopting.broods--; adopting.broods == 0 {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// fork runs f while this process bears a new mark, so that the child that f makes does too from its first moment on. The
// thread that forked it is noted, since it is the one whose child a leader may make of its own (CLONE_PARENT).
func (b *brood) fork(f func() (pid int, err error)) (mark uint64, pid int, err error) {
	spawning.Lock()
	defer spawning.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mark = b.newMark(unix.Gettid())
	if err = b.bear(mark); err == nil {
		pid, err = f()
		_ = b.bear(b.own)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forking = false
	if err != nil {
		delete(b.trees, mark)
		return 0, 0, err
	}
	b.trees[mark], b.leaders[pid] = offspring{pid, unix.Gettid()}, mark
	b.lookIn(orphanPause)
	return mark, pid, nil
}

func (b *brood) newMark(thread int) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		b.next++
		mark := markOf(b.instance, b.next)
		if _, taken := b.trees[mark]; !taken {
			b.trees[mark], b.threads[thread], b.forking = offspring{thread: thread}, true, true
			return mark
		}
	}
}

func (b *brood) bear(soft uint64) error {
	err := unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: soft, Max: b.hard}, nil)
	return os.NewSyscallError("prlimit", err)
}

// reaped forgets the number of a leader, which may be anyone's now.
func (b *brood) reaped(pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.leaders, pid)
}

// release forgets a tree in which nobody lives, or nobody who can be ended.
func (b *brood) release(mark uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if leader := b.trees[mark].leader; b.leaders[leader] == mark { // else it was reaped, and the number may be another leader's
		delete(b.leaders, leader)
	}
	delete(b.trees, mark)
	b.lookIn(orphanDelay)
}

// bearing lists the orphans that live and bear a mark. With certain, nobody else who descends from a leader that is dead
// lives either: whoever does has an ancestor among our own children, since orphans become those, and there is none who has
// changed or lost its mark.
func (b *brood) bearing(mark uint64) (pids []int, certain bool) {
	certain = true
	b.mu.Lock()
	thread := b.trees[mark].thread
	b.mu.Unlock()
	err := b.orphans([]int{os.Getpid(), thread}, func(pid int, bears uint64, tree bool) {
		certain = certain && tree
		if bears == mark {
			pids = append(pids, pid)
		}
	})
	return pids, certain && err == nil
}

// orphans calls f for every child of some threads that lives, is no leader and was not there before; tree says that it
// bears the mark of a tree that was not released. Those that are dead it reaps. Orphans come to the first thread.
func (b *brood) orphans(threads []int, f func(pid int, mark uint64, tree bool)) error {
	type orphan struct {
		pid  int
		mark uint64
		tree bool
	}
	reaping.Lock()
	defer reaping.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	var living []orphan
	for again := true; again; { // until nobody was found dead: its children came to us after the list was read
		again, living = false, living[:0]
		pids, err := childrenOf(threads...)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if _, leader := b.leaders[pid]; leader || b.wasBefore(pid) {
				continue
			}
			mark, err := readMark(pid)
			if err != nil {
				return err
			}
			of, tree := b.trees[mark]
			unknown := b.forking && (!tree || of.leader == 0) // it may be a leader, which has shed its mark even
			if !unknown && b.owns(mark) && reapDead(pid) {
				again = true
				continue
			}
			living = append(living, orphan{pid, mark, tree})
		}
	}
	for _, o := range living {
		f(o.pid, o.mark, o.tree)
	}
	return nil
}

// owns says whether a child that is no leader is an orphan of this host's.
func (b *brood) owns(mark uint64) bool { return b.all || mark != 0 && instanceOf(mark) == b.instance }

// wasBefore says whether a child was there before the brood.
func (b *brood) wasBefore(pid int) bool {
	started, was := b.before[pid]
	if was && startOf(pid) != started { // the number is another's by now
		delete(b.before, pid)
		return false
	}
	return was
}

// startOf is when a process was started, 0 for none.
func startOf(pid int) uint64 {
	st, _ := readStat(strconv.Itoa(pid), make([]byte, statBytes))
	return st.started
}

// reapDead reaps a child that is dead, and is false for one that lives.
func reapDead(pid int) bool {
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == syscall.ECHILD || got == pid
}

// lookIn sees that dead orphans are reaped within d. b.mu is held.
func (b *brood) lookIn(d time.Duration) {
	due := time.Now().Add(d)
	switch {
	case b.closed:
	case b.look == nil:
		b.looking.Add(1)
		b.look, b.due = time.AfterFunc(d, b.reapOrphans), due
	case due.Before(b.due) && b.look.Stop():
		b.look.Reset(d)
		b.due = due
	}
}

func (b *brood) reapOrphans() {
	defer b.looking.Done()
	left := b.dying()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look = nil
	if left > 0 || len(b.trees) > 0 {
		b.lookIn(orphanPause)
	}
}

// dying reaps the orphans that are dead, and counts those that are not yet.
func (b *brood) dying() (left int) {
	b.mu.Lock()
	threads := slices.Collect(maps.Keys(b.threads))
	b.mu.Unlock()
	_ = b.orphans(threads, func(_ int, mark uint64, _ bool) {
		if b.owns(mark) {
			left++
		}
	})
	return left
}

// close ends all looking. All trees were released; whose last process is about to be dead is waited for a moment.
func (b *brood) close() {
	b.mu.Lock()
	b.closed = true
	if b.look != nil && b.look.Stop() {
		b.looking.Done()
	}
	b.mu.Unlock()
	b.looking.Wait()
	adoptNone()
	for end := time.Now().Add(orphanDelay); b.dying() > 0 && time.Now().Before(end); {
		time.Sleep(firstLook)
	}
}
