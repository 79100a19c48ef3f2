package mark

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/watch"
)

// Provider contains trees by marks.
type Provider struct {
	table  *Table
	kernel leader.Kernel
}

// NewProvider returns a provider for a table that sets marks. Its Close closes the table.
func NewProvider(table *Table, kernel leader.Kernel) *Provider { return &Provider{table, kernel} }

// NewStart returns a start.
func (p *Provider) NewStart(_ *syscall.ProcAttr, tag any, _ bool) (containment.Start, error) {
	return &start{provider: p, tag: tag}, nil
}

// TagOf returns the tag of the tree of a process: see Table.TagOf.
func (p *Provider) TagOf(a *proctable.Ancestry) (tag any, m containment.Membership, err error) {
	return p.table.TagOf(a)
}

// ForkHelper forks a child without a mark.
func (p *Provider) ForkHelper(fork func() (pid int, err error)) (pid int, err error) {
	return p.table.ForkUnmarked(fork)
}

// Observer is notified when a child of ForkHelper is reaped.
func (p *Provider) Observer() leader.Observer { return p.table }

// Controls returns false.
func (p *Provider) Controls(string) bool { return false }

// NoteUnverified makes the table expect orphans at any time.
func (p *Provider) NoteUnverified() { p.table.NoteUnverified() }

// Leftovers lists all processes with a mark of this server.
func (p *Provider) Leftovers() (containment.Lister, error) { return OfInstance(p.table.instance), nil }

// Close closes the table.
func (p *Provider) Close() error {
	p.table.Close()
	return nil
}

type start struct {
	containment.NoLimits
	provider *Provider
	tag      any
	mark     uint64
}

func (s *start) Fork(fork func() (pid int, err error)) (pid int, err error) {
	s.mark, pid, err = s.provider.table.Fork(s.tag, fork)
	return pid, err
}

func (s *start) RetryFresh(error) bool { return false }

func (s *start) Replace(pid int) (replaced func(leader, helper int)) {
	return s.provider.table.Replace(s.mark, pid)
}

func (s *start) Cancel(int) { s.provider.table.Release(s.mark) }

func (s *start) Tree(l *leader.Leader, terminal bool) containment.Tree {
	l.Observer = s.provider.table
	return &Tree{
		Tree:  memberwise.Tree{Group: leader.Group{Leader: l, Kernel: s.provider.kernel}, Lister: Equal(s.mark), Terminal: terminal},
		table: s.provider.table,
		mark:  s.mark,
	}
}

// Tree is the processes with one mark. A process leaves it by changing the limit.
type Tree struct {
	memberwise.Tree
	table *Table
	mark  uint64
}

// Orphans lists the living orphans of the tree: see Table.Orphans.
func (t *Tree) Orphans() (pids []int, certain bool, err error) { return t.table.Orphans(t.mark) }

// Alive reads the process table only if the leader has exited and it is uncertain whether there are
// orphans. Processes that fork and exit in a loop can be missed by a scan, but not among the
// orphans.
func (t *Tree) Alive() (bool, error) {
	if !t.Exited() { // checked first, since the leader's children are reparented after its exit
		return true, nil
	}
	orphans, certain, err := t.Orphans()
	if err != nil {
		return true, err
	}
	if certain || len(orphans) > 0 {
		return len(orphans) > 0, nil
	}
	pids, err := t.Members()
	return len(pids) > 0, err
}

// Members lists the members that have not ended.
func (t *Tree) Members() ([]int, error) {
	for range memberwise.QuietScans {
		exited := t.Exited()
		orphans, certain, err := t.Orphans()
		if err != nil {
			return nil, err
		}
		if certain && len(orphans) == 0 && exited {
			return nil, nil
		}
		all, err := t.Tree.Members()
		if len(all) > 0 || err != nil {
			return all, err
		}
		if len(orphans) > 0 {
			return orphans, nil
		}
	}
	return nil, nil
}

// Watch watches an orphan if there is one, and otherwise any member.
func (t *Tree) Watch() *watch.Watch {
	orphans, _, _ := t.Orphans()
	if len(orphans) == 0 {
		return t.Tree.Watch()
	}
	return watch.Member(orphans, t.Lister.Contains)
}

// Usage returns nothing: the tree is not counted.
func (t *Tree) Usage(bool) containment.Usage { return containment.Usage{} }

// Close removes the tree from the child table.
func (t *Tree) Close() {
	t.CloseTree()
	t.table.Release(t.mark)
}
