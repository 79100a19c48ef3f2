// Package pgroup contains trees by the process group of their leader and, on a terminal, by its
// kernel session.
package pgroup

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// Tracker is notified of the groups and kernel sessions of leaders. Its methods may be called from
// any goroutine.
type Tracker interface {
	// Add is called when a leader has started. If session is true, the tree is the kernel session
	// of the leader instead of its process group.
	Add(pid int, session bool)
	// Remove is called when the tree is closed.
	Remove(pid int)
}

// Provider contains trees by process groups.
type Provider struct {
	kernel  leader.Kernel
	forker  forker
	tracker Tracker
	tags    tags
}

// NewStart returns a start.
func (p *Provider) NewStart(attr *syscall.ProcAttr, tag any, _ bool) (containment.Start, error) {
	p.forker.prepare(attr)
	return &start{provider: p, tag: tag}, nil
}

// ForkHelper forks a child that is in no group of a tree.
func (p *Provider) ForkHelper(fork func() (pid int, err error)) (pid int, err error) {
	return p.forker.forkHelper(fork)
}

// Observer is notified when a child of ForkHelper is reaped.
func (p *Provider) Observer() leader.Observer { return p.forker.observer() }

// Controls returns false.
func (p *Provider) Controls(string) bool { return false }

// NoteUnverified does nothing.
func (p *Provider) NoteUnverified() {}

// Leftovers returns an error: a process that has left its group cannot be found.
func (p *Provider) Leftovers() (containment.Lister, error) {
	return nil, errors.New("processes of ended sessions may still run, and cannot be found")
}

// Close ends the forking thread and the reaping.
func (p *Provider) Close() error {
	p.forker.close()
	return nil
}

type start struct {
	containment.NoLimits
	provider *Provider
	tag      any
	helper   int // see Replace
}

func (s *start) Fork(fork func() (pid int, err error)) (pid int, err error) {
	s.provider.tags.begin()
	pid, err = s.provider.forker.fork(fork)
	s.provider.tags.forked(pid, s.tag, err)
	return pid, err
}

func (s *start) RetryFresh(error) bool { return false }

func (s *start) Replace(pid int) (replaced func(leader, helper int)) {
	inTable := s.provider.forker.replace(pid)
	return func(leader, helper int) {
		inTable(leader, helper)
		s.helper = helper
		s.provider.tags.remove(pid)
		for _, pid := range []int{leader, helper} {
			if pid != 0 {
				s.provider.tags.set(pid, s.tag)
			}
		}
	}
}

func (s *start) Cancel(pid int) {
	s.provider.tags.remove(s.helper)
	if pid != 0 {
		s.provider.tags.remove(pid)
		s.provider.forker.reaped(pid)
	}
}

func (s *start) Tree(l *leader.Leader, terminal bool) containment.Tree {
	p := s.provider
	p.forker.observe(l)
	group := leader.Group{Leader: l, Kernel: p.kernel}
	p.tracker.Add(l.PID, terminal)
	if !terminal {
		return &Tree{Group: group, provider: p, helper: s.helper}
	}
	return &SessionTree{
		Tree:     memberwise.Tree{Group: group, Lister: session(l.PID), ByNumber: true, Terminal: true},
		provider: p,
		helper:   s.helper,
	}
}

// closed is called when the tree of a leader is closed.
func (p *Provider) closed(pid, helper int) {
	p.tags.remove(pid)
	p.tags.remove(helper)
	p.tracker.Remove(pid)
}

// Tree is the process group of a leader.
type Tree struct {
	leader.Group
	provider *Provider
	helper   int
}

// Usage returns nothing: the tree is not counted.
func (t *Tree) Usage(bool) containment.Usage { return containment.Usage{} }

// Close ends the tracking.
func (t *Tree) Close() { t.provider.closed(t.PID, t.helper) }

// SessionTree is the kernel session of a leader (setsid(2)): its group, and those that a shell with
// job control makes for its jobs. A process leaves it by setsid(2).
type SessionTree struct {
	memberwise.Tree
	provider *Provider
	helper   int
}

// Usage returns nothing: the tree is not counted.
func (t *SessionTree) Usage(bool) containment.Usage { return containment.Usage{} }

// Close ends the tracking.
func (t *SessionTree) Close() {
	t.CloseTree()
	t.provider.closed(t.PID, t.helper)
}

// session lists the processes of a kernel session. It is the number of the session, and of its
// leader.
type session int

func (s session) Each(f func(proctable.Entry)) error {
	all, err := proctable.SessionMembers(int(s))
	for _, m := range all {
		f(m)
	}
	return err
}

func (s session) Contains(pid int) (bool, error) {
	sid, err := unix.Getsid(pid)
	return sid == int(s), err
}

func (s session) Signal(m proctable.Entry, sig syscall.Signal) error {
	return proctable.Signal(m, sig, func(now proctable.Entry) (bool, error) { return now.Session == int(s), nil })
}

// untracked is a Tracker that does nothing.
type untracked struct{}

func (untracked) Add(int, bool) {}
func (untracked) Remove(int)    {}
