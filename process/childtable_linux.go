package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
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
		limit.Cur, err = procfs.RealtimeTimeout(pid)
	}
	if err != nil || !isMark(limit.Cur) {
		return 0, err
	}
	return limit.Cur, nil
}

// spawning is held while this process has the mark of the child that it forks. There is one, whatever number of hosts.
var spawning sync.Mutex

// brood is the children of this process that bear the marks of one host: leaders of trees, and orphans of theirs,
// since this process adopts those (PR_SET_CHILD_SUBREAPER).
type childTable struct {
	instance uint64
	hard     uint64
	own      uint64         // the soft limit of this process itself
	all      bool           // whatever comes to us is an orphan, marked or not
	adopts   bool           // this process was made the parent of orphans for it
	before   map[int]uint64 // children that were there before, and when each was started

	mu      sync.Mutex
	trees   map[uint64]treeEntry // by mark, those that were not released
	leaders map[int]uint64
	threads map[int]bool // that have forked, and the first one
	next    uint64
	forking bool // there is a leader that is in neither

	lists procfs.ChildLists

	reaper reaper
}

// treeEntry is a leader's process id, 0 while it is forked, the id of the thread that forked it, and which tree it is in the order
// of their starts.
type treeEntry struct {
	leader, thread int
	number         uint64
}

// errMarked says that this process is itself in a tree of another server's, whose mark its children have to keep.
var errMarked = errors.New("this process bears the mark of another server")

// newChildTable checks that marks work here, and makes this process the parent of orphans. With all, whoever comes to this
// process is an orphan.
func newChildTable(instance uint64, all bool) (*childTable, error) {
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
	b := &childTable{
		instance: instance, hard: limit.Max, own: limit.Cur, all: all, adopts: true,
		trees: make(map[uint64]treeEntry), next: uint64(rand.Uint32()),
	}
	if err := b.start(); err != nil {
		return nil, err
	}
	return b, nil
}

// newInit is for a process that is the first of its PID namespace, and so the parent of orphans, and that starts nobody but
// by this host: it reaps them where there are no marks.
func newInit() (*childTable, error) {
	b := &childTable{all: true}
	if err := b.start(); err != nil {
		return nil, err
	}
	return b, nil
}

// start notes which children there are, adopts orphans, and reaps them from now on.
func (b *childTable) start() error {
	b.leaders, b.before = make(map[int]uint64), make(map[int]uint64)
	b.threads = map[int]bool{os.Getpid(): true}
	reaping.Lock()
	defer reaping.Unlock()
	pids, err := procfs.AllOwnChildren(append(procfs.OwnThreads(), os.Getpid())...)
	if err == nil && b.adopts {
		err = adopt()
	}
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if started := proctable.StartTime(pid); started != 0 {
			b.before[pid] = started
		}
	}
	b.lists = make(procfs.ChildLists)
	b.startReaper()
	return nil
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
func (b *childTable) fork(f func() (pid int, err error)) (mark uint64, pid int, err error) {
	spawning.Lock()
	defer spawning.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mark = b.newMark(unix.Gettid())
	if err = b.setMark(mark); err == nil {
		pid, err = f()
		_ = b.setMark(b.own)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forking = false
	if err != nil {
		delete(b.trees, mark)
		return 0, 0, err
	}
	of := b.trees[mark]
	of.leader = pid
	b.trees[mark], b.leaders[pid] = of, mark
	return mark, pid, nil
}

// forkUnmarked runs f to fork a child that bears no mark and is no orphan until it is reaped.
func (b *childTable) forkUnmarked(f func() (pid int, err error)) (pid int, err error) {
	spawning.Lock()
	defer spawning.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.mu.Lock()
	b.forking, b.threads[unix.Gettid()] = true, true
	b.mu.Unlock()
	pid, err = f()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forking = false
	if err == nil {
		b.leaders[pid] = 0
	}
	return pid, err
}

func (b *childTable) newMark(thread int) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		b.next++
		mark := markOf(b.instance, b.next)
		if _, taken := b.trees[mark]; !taken {
			b.trees[mark], b.threads[thread], b.forking = treeEntry{thread: thread, number: b.next}, true, true
			if !b.reaper.listening.Load() {
				b.lookAgain()
			}
			return mark
		}
	}
}

func (b *childTable) setMark(soft uint64) error {
	err := unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: soft, Max: b.hard}, nil)
	return os.NewSyscallError("prlimit", err)
}

// reaped forgets the number of a leader, which may be anyone's now.
func (b *childTable) reaped(pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.leaders, pid)
}

// release forgets a tree in which nobody lives, or nobody who can be ended.
func (b *childTable) release(mark uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if leader := b.trees[mark].leader; b.leaders[leader] == mark { // else it was reaped, and the number may be another leader's
		delete(b.leaders, leader)
		b.lookAgain() // it is an orphan from now on
	}
	delete(b.trees, mark)
}

// owns says whether a child that is no leader is an orphan of this host's.
func (b *childTable) owns(mark uint64) bool {
	return b.all || mark != 0 && instanceOf(mark) == b.instance
}

// wasBefore says whether a child was there before the brood.
func (b *childTable) wasBefore(pid int) bool {
	started, was := b.before[pid]
	if was && proctable.StartTime(pid) != started { // the number is another's by now
		delete(b.before, pid)
		return false
	}
	return was
}
