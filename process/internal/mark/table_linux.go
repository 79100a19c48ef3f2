package mark

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// forking is locked while this process has the mark of a leader that it forks, and while it forks a
// child without a mark. It is shared by all hosts of the process, as the limit is.
var forking sync.Mutex

// Table is the child table of one host: the leaders and keepers that this process has forked, and the
// orphans of trees, which are reparented to it (PR_SET_CHILD_SUBREAPER). A goroutine reaps the
// orphans. Methods may be called from any goroutine.
//
// A table that does not set marks still reaps orphans if this is the first process of a PID
// namespace. A disabled one does nothing.
type Table struct {
	enabled  bool
	marks    bool // whether Fork sets marks
	instance uint64
	hard     uint64         // hard limit RLIMIT_RTTIME
	own      uint64         // soft limit of this process outside Fork
	all      bool           // unmarked children are orphans too
	before   map[int]uint64 // children that existed before the table, and their start times; under mu

	mu          sync.Mutex
	trees       map[uint64]treeEntry // by mark, until released
	forked      map[int]uint64       // leaders and keepers by process id: their marks, 0 for none; until reaped or released
	threads     map[int]bool         // ids of threads that have forked, and of the first one
	next        uint64               // number of the last tree
	forkPending bool                 // a child may exist that is not in forked yet
	replacing   int                  // trees without a mark whose leader is being replaced: see Replace

	lists *procfs.ChildLists // under leader.Reaping

	reaper reaper
}

// treeEntry is the entry of a tree in a child table.
type treeEntry struct {
	leader int // process id, 0 during the fork
	thread int // id of the thread that has forked the leader
	number uint64
	tag    any // see containment.Provider
	// replacing is true from Replace on until it is known which child the leader is.
	replacing bool
	// helper is the parent of the first process of the PID namespace of the tree, which orphans in it
	// are reparented to; 0 for none.
	helper int
}

// ErrMarked means that this process is a member of another server's tree, whose mark its children
// have to keep.
var ErrMarked = errors.New("this process has the mark of another server")

// NewTable checks that marks can be set, and makes this process the parent of orphans. If all is
// true, every new child that the table has not forked is an orphan, even without a mark.
func NewTable(instance uint64, all bool) (*Table, error) {
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_RTTIME, nil, &limit); err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	switch {
	case isMark(limit.Cur):
		return nil, ErrMarked
	case limit.Max < Of(MaxInstance-1, 1<<32-1):
		return nil, fmt.Errorf("the hard limit RLIMIT_RTTIME is %d", limit.Max)
	}
	t := &Table{
		enabled: true, marks: true, instance: instance, hard: limit.Max, own: limit.Cur, all: all,
		trees: make(map[uint64]treeEntry), next: uint64(rand.Uint32()),
	}
	if err := t.start(); err != nil {
		return nil, err
	}
	return t, nil
}

// NewUnmarkedTable returns a table that sets no marks. If this is the first process of a PID
// namespace and all is true, it reaps all new children that it has not forked; otherwise, and
// without /proc, it is disabled.
func NewUnmarkedTable(all bool) *Table {
	if !all || os.Getpid() != 1 {
		return &Table{}
	}
	t := &Table{enabled: true, all: true}
	if t.start() != nil {
		return &Table{}
	}
	return t
}

// Marks reports whether Fork sets marks.
func (t *Table) Marks() bool { return t.marks }

// start records the present children, makes this process the parent of orphans and starts to reap
// them.
func (t *Table) start() error {
	t.forked, t.before = make(map[int]uint64), make(map[int]uint64)
	t.threads = map[int]bool{os.Getpid(): true}
	leader.Reaping.Lock()
	defer leader.Reaping.Unlock()
	pids, err := procfs.AllOwnChildren(append(procfs.OwnThreads(), os.Getpid())...)
	if err == nil && t.marks {
		err = becomeSubreaper()
	}
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if start := proctable.StartTime(pid); start != 0 {
			t.before[pid] = start
		}
	}
	t.lists = procfs.NewChildLists()
	t.startReaper()
	return nil
}

// subreaper counts the tables for which this process is a subreaper.
var subreaper struct {
	sync.Mutex
	tables int
}

func becomeSubreaper() error {
	subreaper.Lock()
	defer subreaper.Unlock()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	subreaper.tables++
	return nil
}

func ceaseSubreaper() {
	subreaper.Lock()
	defer subreaper.Unlock()
	if subreaper.tables--; subreaper.tables == 0 {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// Fork calls f to fork the leader of a tree. If the table sets marks, this process has a new mark
// meanwhile, so that the child has it from its first instruction. The forking thread is recorded,
// since a leader can make a child of that thread instead of its own (CLONE_PARENT). tag is for TagOf.
func (t *Table) Fork(tag any, f func() (pid int, err error)) (mark uint64, pid int, err error) {
	if !t.marks {
		pid, err = t.ForkUnmarked(f)
		return 0, pid, err
	}
	forking.Lock()
	defer forking.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mark = t.newMark(unix.Gettid(), tag)
	if err = t.setMark(mark); err == nil {
		pid, err = f()
		_ = t.setMark(t.own)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forkPending = false
	if err != nil {
		delete(t.trees, mark)
		return 0, 0, err
	}
	e := t.trees[mark]
	e.leader = pid
	t.trees[mark], t.forked[pid] = e, mark
	return mark, pid, nil
}

// ForkUnmarked calls f to fork a child without a mark: a keeper, or a leader if the table sets no
// marks. The caller calls Reaped when the child is reaped.
func (t *Table) ForkUnmarked(f func() (pid int, err error)) (pid int, err error) {
	if !t.enabled {
		return f()
	}
	forking.Lock()
	defer forking.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.mu.Lock()
	t.forkPending, t.threads[unix.Gettid()] = true, true
	t.mu.Unlock()
	pid, err = f()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forkPending = false
	if err == nil {
		t.forked[pid] = 0
	}
	return pid, err
}

// Replace is containment.Start.Replace for the leader pid of the tree with a mark, 0 for none.
func (t *Table) Replace(mark uint64, pid int) (replaced func(leader, helper int)) {
	if !t.enabled {
		return func(int, int) {}
	}
	t.setReplacing(mark, true)
	return func(leader, helper int) {
		t.mu.Lock()
		delete(t.forked, pid)
		if leader != 0 {
			t.forked[leader] = mark
		}
		e, ok := t.trees[mark]
		if ok {
			e.leader, e.helper = leader, helper
			t.trees[mark] = e
		}
		if ok && helper != 0 {
			t.forked[helper] = mark // so that TagOf finds the tree
		}
		t.mu.Unlock()
		t.setReplacing(mark, false)
	}
}

func (t *Table) setReplacing(mark uint64, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.trees[mark]; ok {
		e.replacing = on
		t.trees[mark] = e
		return
	}
	if on {
		t.replacing++
	} else {
		t.replacing--
	}
}

func (t *Table) newMark(thread int, tag any) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		t.next++
		mark := Of(t.instance, t.next)
		if _, taken := t.trees[mark]; !taken {
			t.trees[mark], t.threads[thread], t.forkPending = treeEntry{thread: thread, number: t.next, tag: tag}, true, true
			if !t.reaper.listening.Load() {
				t.wakeReaper()
			}
			return mark
		}
	}
}

func (t *Table) setMark(soft uint64) error {
	err := unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: soft, Max: t.hard}, nil)
	return os.NewSyscallError("prlimit", err)
}

// Reaped removes a child whose process id is free for reuse.
func (t *Table) Reaped(pid int) {
	if !t.enabled {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.forked, pid)
}

// Release removes a tree. If its leader is not reaped, it is an orphan from now on. mark may be 0.
func (t *Table) Release(mark uint64) {
	if !t.marks || mark == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if leader := t.trees[mark].leader; t.forked[leader] == mark { // otherwise the process id was reused
		delete(t.forked, leader)
		t.wakeReaper()
	}
	if helper := t.trees[mark].helper; t.forked[helper] == mark {
		t.forked[helper] = 0
	}
	delete(t.trees, mark)
	if len(t.trees) == 0 && t.reaper.listening.Load() {
		t.wakeReaper() // it may stop listening
	}
}

// NoteUnverified is called for a tree that may still have living processes, which can become
// orphans at any time.
func (t *Table) NoteUnverified() { t.reaper.always.Store(true) }

// owns reports whether the table reaps an orphan with this mark, 0 for none.
func (t *Table) owns(mark uint64) bool { return t.all || mark != 0 && Instance(mark) == t.instance }

// existedBefore reports whether a child existed before the table. t.mu is held.
func (t *Table) existedBefore(pid int) bool {
	start, ok := t.before[pid]
	if ok && proctable.StartTime(pid) != start { // the process id was reused
		delete(t.before, pid)
		return false
	}
	return ok
}
