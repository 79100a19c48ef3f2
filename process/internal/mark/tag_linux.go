package mark

import (
	"errors"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

var (
	errClosedTree   = errors.New("a process has the mark of a tree that was closed")
	errUnknownChild = errors.New("a process descends from an unknown child of this process")
)

// TagOf is containment.Provider.TagOf for the trees of this table. A process that descends from a
// leader belongs to the tree of that leader, whatever its own mark is: it may have changed it.
// Otherwise the leader has exited, and the first mark in the chain decides. If the table owns all
// children, a descendant of one that it does not know is an error, since the descendants of an
// orphan that has changed its mark may belong to any tree.
func (t *Table) TagOf(a *proctable.Ancestry) (tag any, m containment.Membership, err error) {
	if !t.enabled {
		return nil, containment.NoMember, nil
	}
	tag, mark, forked := t.leaderTag(a.Child())
	switch {
	case forked && mark != 0:
		return tag, containment.Proven, nil
	case forked:
		return nil, containment.NoMember, nil
	}
	for i, e := range a.Chain {
		mark, err := Read(e.PID)
		if i == 0 && err != nil {
			return nil, containment.NoMember, err
		}
		if mark == 0 || err != nil || Instance(mark) != t.instance || !t.marks {
			continue
		}
		if tag, found := t.markTag(mark); found {
			return tag, containment.Claimed, nil
		}
		return nil, containment.NoMember, errClosedTree
	}
	if a.OfThis && t.all && !t.isOldChild(a.Child()) {
		return nil, containment.NoMember, errUnknownChild
	}
	return nil, containment.NoMember, nil
}

// leaderTag returns the mark and the tag of a leader. forked is false if the process is none; the
// mark is 0 for other children that this table has forked.
func (t *Table) leaderTag(pid int) (tag any, mark uint64, forked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mark, forked = t.forked[pid]
	return t.trees[mark].tag, mark, forked
}

func (t *Table) markTag(mark uint64) (tag any, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, found := t.trees[mark]
	return e.tag, found
}

func (t *Table) isOldChild(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.existedBefore(pid)
}
