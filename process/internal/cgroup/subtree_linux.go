package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/leader"
)

const (
	// MaxSpare is how many unused leaves are kept for the next trees.
	MaxSpare = 64
	// maxOpenLeaves is how many leaves in use keep their three descriptors, which saves 10 µs at
	// the end of a tree.
	maxOpenLeaves = 256
)

// ServerLeaf is the name of the cgroup, beside those of the trees, into which a server moves
// itself.
const ServerLeaf = "server"

// limitedDir is where the leaves are if the trees together are limited.
const limitedDir = "/sessions"

// subtree is a host's part of the hierarchy of version 2, below the cgroup of this process. It has
// a leaf for each tree.
//
// Making and removing a leaf takes a tenth of the time of a short command, so leaves are reused.
// Leaves in which memory is counted are not, since the page cache that a tree leaves behind is
// charged to them. In their case, a goroutine makes the next leaf ahead of time and removes the
// last one.
type subtree struct {
	Delegation
	dir   string // in Delegation.Own
	shown string // dir as /proc/PID/cgroup has it
	most  int64  // limit of the processes of all trees together, if below is set
	below string // where in dir the leaves are: "" or limitedDir

	mu        sync.Mutex
	spare     []*leaf
	discarded []*leaf // to be removed
	made      int
	tags      map[int]any // of the trees in leaves, by the number of the leaf
	open      int         // leaves in use that keep their descriptors
	busy      bool        // maintain runs
	closed    bool
	work      sync.WaitGroup
}

// newSubtree makes a subtree and tries it. It enables those of wanted that are available. The limit
// of processes of all trees together is reserve below that of this process.
func newSubtree(h Hierarchies, name string, wanted []string, reserve int) (*subtree, error) {
	if h.V2 == "" {
		return nil, errNoV2
	}
	s := &subtree{Delegation: Delegation{Own: h.V2}, dir: filepath.Join(h.V2, name), shown: filepath.Join(h.Shown, name)}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	s.delegate(wanted)
	s.limitTogether(reserve)
	if err := s.try(); err != nil {
		_ = s.close()
		return nil, err
	}
	return s, nil
}

// delegate enables those of wanted that are available. A cgroup with processes cannot enable
// controllers for its children, except the root (cgroups(7), "no internal processes"). So if this
// process is alone in its cgroup, it moves into a leaf. It moves first, since some controllers can
// be enabled beside processes, but make the children threaded cgroups, into which no process can be
// cloned.
func (s *subtree) delegate(wanted []string) {
	available := controllersIn(s.Own)
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return !slices.Contains(available, c) })
	if len(wanted) == 0 {
		return
	}
	if _, err := os.Stat(filepath.Join(s.Own, "cgroup.type")); err == nil { // the root has no such file
		if !s.alone() || s.moveInto(filepath.Join(s.dir, ServerLeaf)) != nil {
			return
		}
		s.Moved = true
	}
	var err error
	if s.Enabled, err = enable(s.Own, wanted); err == nil {
		_, err = enable(s.dir, wanted)
	}
	if err == nil {
		s.Controllers = wanted
	} else {
		s.undo(s.dir)
	}
}

// alone reports whether this process is the only one in its cgroup.
func (s *subtree) alone() bool {
	pids, err := processesIn(s.Own)
	return err == nil && slices.Equal(pids, []int{os.Getpid()})
}

func (s *subtree) moveInto(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return fdreserve.WriteFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(os.Getpid()))
}

// limitTogether limits the processes of all trees together, if this process is limited itself.
func (s *subtree) limitTogether(reserve int) {
	if !s.Moved || !s.controls("pids") || reserve <= 0 {
		return
	}
	most, limited := processesAllowed(s.Own)
	if !limited {
		return
	}
	if s.most = max(1, most-int64(reserve)); s.makeLimited() == nil {
		s.below = limitedDir
	}
}

// makeLimited makes the cgroup that limits the processes of all trees together.
func (s *subtree) makeLimited() error {
	dir := s.dir + limitedDir
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		_, err = enable(dir, s.Controllers)
	}
	if err == nil {
		err = fdreserve.WriteFile(filepath.Join(dir, "pids.max"), strconv.FormatInt(s.most, 10))
	}
	if err != nil {
		_ = os.Remove(dir)
	}
	return err
}

// leaves returns the directory of the leaves.
func (s *subtree) leaves() string { return s.dir + s.below }

// try checks that a child can be cloned into a leaf, and that a leaf can be frozen and killed. The
// program of the child does not exist; if the kernel reports that, the clone has succeeded.
func (s *subtree) try() error {
	l, err := s.take()
	if err != nil {
		return err
	}
	defer s.give(l)
	for _, name := range []string{freezeFile, killFile} {
		if err := unix.Faccessat(l.dir, name, unix.W_OK, unix.AT_EACCESS); err != nil {
			return fmt.Errorf("%s/%s: %w", l.path(), name, err)
		}
	}
	pid, err := syscall.ForkExec(filepath.Join(l.path(), "no program"), []string{""}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: l.dir},
	})
	if err == nil { // it was killed before its exec: see leaf.reusable
		leader.Discard(pid)
		return fmt.Errorf("a process that is cloned into %s is killed", l.path())
	}
	if err != syscall.ENOENT {
		return fmt.Errorf("clone into %s: %w", l.path(), err)
	}
	return nil
}

// controls reports whether a controller limits leaves.
func (s *subtree) controls(controller string) bool {
	return slices.Contains(s.Controllers, controller)
}

// reuses reports whether leaves are reused.
func (s *subtree) reuses() bool { return !s.controls("memory") }

// take returns an empty leaf.
func (s *subtree) take() (*leaf, error) {
	s.mu.Lock()
	if n := len(s.spare); n > 0 {
		l := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.mu.Unlock()
		if l.open() == nil { // most are open already
			return l, nil
		}
		s.give(l)
		return s.makeLeaf()
	}
	s.mu.Unlock()
	return s.makeLeaf()
}

// keepOpen is called when a tree was started in a leaf. The leaf keeps its descriptors, unless too
// many do.
func (s *subtree) keepOpen(l *leaf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open < maxOpenLeaves {
		s.open++
		l.kept = true
	} else {
		l.close()
	}
}

// makeLeaf returns a new leaf.
func (s *subtree) makeLeaf() (*leaf, error) {
	s.mu.Lock()
	s.made++
	number := s.made
	s.mu.Unlock()
	l, err := newLeaf(s, number)
	if errors.Is(err, os.ErrNotExist) && s.restore() == nil {
		return newLeaf(s, number)
	}
	return l, err
}

// restore makes the parents of the leaves again, after a command with the rights of the server has
// removed them. That is possible only while no leaf is in use.
func (s *subtree) restore() error {
	if err := os.Mkdir(s.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if len(s.Controllers) > 0 {
		if _, err := enable(s.dir, s.Controllers); err != nil {
			return err
		}
	}
	if s.below == "" {
		return nil
	}
	return s.makeLimited()
}

// give takes a leaf back.
func (s *subtree) give(l *leaf) {
	reusable := s.reuses() && l.reusable()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tags, l.number)
	if l.kept {
		s.open--
		l.kept = false
	}
	if reusable && !s.closed && len(s.spare) < MaxSpare {
		s.spare = append(s.spare, l)
		return
	}
	s.discarded = append(s.discarded, l)
	if !s.busy && !s.closed {
		s.busy = true
		s.work.Go(s.maintain)
	}
}

// maintain removes discarded leaves, and makes the next leaf if leaves are not reused. If a leaf
// has living processes, its removal is tried again when the next leaf is discarded.
func (s *subtree) maintain() {
	for {
		stuck := s.removeDiscarded()
		var fresh *leaf
		s.mu.Lock()
		enough := s.reuses() || len(s.spare) > 0
		s.mu.Unlock()
		if !enough {
			fresh, _ = s.makeLeaf()
		}
		s.mu.Lock()
		if fresh != nil { // close removes it, if that was called
			s.spare = append(s.spare, fresh)
		}
		if len(s.discarded) == 0 || s.closed {
			s.discarded = append(s.discarded, stuck...)
			s.busy = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// removeDiscarded removes discarded leaves, and returns those that it could not remove.
func (s *subtree) removeDiscarded() (stuck []*leaf) {
	for {
		s.mu.Lock()
		if len(s.discarded) == 0 {
			s.mu.Unlock()
			return stuck
		}
		l := s.discarded[len(s.discarded)-1]
		s.discarded = s.discarded[:len(s.discarded)-1]
		s.mu.Unlock()
		l.close()
		if Remove(l.path()) != nil {
			stuck = append(stuck, l)
		}
	}
}

// close removes the subtree. It fails if a process in it has not ended.
func (s *subtree) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
	s.mu.Lock()
	s.discarded = append(s.discarded, s.spare...)
	s.spare = nil
	s.mu.Unlock()
	s.removeDiscarded()
	if s.below != "" {
		_ = os.Remove(s.leaves())
	}
	s.undo(s.dir)
	return Remove(s.dir)
}
