// Package cgroup contains trees by cgroups of version 2 (cgroups(7)), and limits them by cgroups of
// either version.
package cgroup

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
)

// Provider contains each tree by a leaf cgroup. Its processes also have a mark if the table sets
// marks, by which those that leave the leaf are found.
type Provider struct {
	subtree *subtree
	number  uint64 // of the server
	table   *mark.Table
	kernel  leader.Kernel
}

// Config is what a provider needs.
type Config struct {
	Hierarchies Hierarchies
	Name        string   // of the subtree
	Controllers []string // that are wanted
	Reserve     int      // how much lower the limit of processes of all trees together is than that of this process
	Number      uint64   // of the server, in marks
	Table       *mark.Table
	Kernel      leader.Kernel
}

// New makes the subtree and tries whether it can contain trees.
func New(c Config) (*Provider, error) {
	s, err := newSubtree(c.Hierarchies, c.Name, c.Controllers, c.Reserve)
	if err != nil {
		return nil, err
	}
	return &Provider{subtree: s, number: c.Number, table: c.Table, kernel: c.Kernel}, nil
}

// Delegation returns what was changed in this process' own cgroup.
func (p *Provider) Delegation() Delegation { return p.subtree.Delegation }

// NewStart takes a leaf, which is the cgroup of the child from its first instruction.
func (p *Provider) NewStart(attr *syscall.ProcAttr, tag any, fresh bool) (containment.Start, error) {
	take := p.subtree.take
	if fresh {
		take = p.subtree.makeLeaf
	}
	l, err := take()
	if err != nil {
		return nil, err
	}
	p.subtree.tag(l, tag)
	attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, l.dir
	return &start{provider: p, leaf: l, tag: tag}, nil
}

// ForkHelper forks a child without a mark and outside of all leaves.
func (p *Provider) ForkHelper(fork func() (pid int, err error)) (pid int, err error) {
	return p.table.ForkUnmarked(fork)
}

// Observer is notified when a child of ForkHelper is reaped.
func (p *Provider) Observer() leader.Observer { return p.table }

// Controls reports whether a controller limits the leaves.
func (p *Provider) Controls(controller string) bool { return p.subtree.controls(controller) }

// NoteUnverified makes the table expect orphans at any time.
func (p *Provider) NoteUnverified() { p.table.NoteUnverified() }

// Leftovers lists all processes in the subtree and all with a mark of this server.
func (p *Provider) Leftovers() (containment.Lister, error) {
	return memberwise.Union{mark.OfInstance(p.number), Dir(p.subtree.dir)}, nil
}

// Close closes the table and removes the subtree.
func (p *Provider) Close() error {
	p.table.Close()
	return p.subtree.close()
}

type start struct {
	provider *Provider
	leaf     *leaf
	tag      any
	mark     uint64
}

func (s *start) Fork(fork func() (pid int, err error)) (pid int, err error) {
	s.mark, pid, err = s.provider.table.Fork(s.tag, fork)
	return pid, err
}

// RetryFresh reports whether an earlier tree, whose command had the rights of the server, has made
// the leaf unusable.
func (s *start) RetryFresh(err error) bool {
	switch err {
	case syscall.EBUSY, syscall.EOPNOTSUPP, syscall.ENODEV, syscall.EBADF:
		return true
	}
	return s.leaf.removed()
}

func (s *start) Replace(pid int) (replaced func(leader, helper int)) {
	return s.provider.table.Replace(s.mark, pid)
}

// Limit sets memory.max or pids.max of the leaf.
func (s *start) Limit(controller string, max int64) error {
	value := strconv.FormatInt(max, 10)
	if controller == "pids" {
		return s.leaf.write("pids.max", value)
	}
	if err := s.leaf.write("memory.swap.max", "0"); err != nil && !errors.Is(err, os.ErrNotExist) { // no swap, no file
		return err
	}
	return s.leaf.write("memory.max", value)
}

func (s *start) OOMKills() uint64 { return readValue(s.leaf.path(), "memory.events", "oom_kill") }

func (s *start) Cancel(pid int) {
	if s.mark != 0 {
		s.provider.table.Release(s.mark)
	} else if pid != 0 {
		s.provider.table.Reaped(pid)
	}
	s.provider.subtree.give(s.leaf)
}

func (s *start) Tree(l *leader.Leader, terminal bool) containment.Tree {
	s.provider.subtree.keepOpen(s.leaf)
	l.Observer = s.provider.table
	return newTree(s, l, terminal)
}
