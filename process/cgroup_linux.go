package process

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// newCgroup holds a tree by a leaf. Its processes bear mark too, 0 for none, which finds those that left the leaf.
func newCgroup(g *group, l *leaf, b *childTable, mark uint64, terminal bool) *cgroup {
	list := &leafLister{group: g, leaf: l, table: b, mark: mark}
	return &cgroup{memberTree: memberTree{group: g, lister: list, terminal: terminal}, list: list, leaf: l}
}

// cgroup is containment by a control group of version 2. Who may write to control groups as the server may can leave it,
// as su(1) does where its session gets a group of its own (pam_systemd(8)): the leader is signalled by its pidfd all the
// same, and others are found by their mark.
type cgroup struct {
	memberTree
	list *leafLister
	leaf *leaf
}

func (c *cgroup) Kind() Containment { return Cgroup }

// inLeaf says whether a process lives in the leaf, by the kernel's count; none does in a leaf that was given back.
func (c *cgroup) inLeaf() (some bool, err error) {
	err = c.held(func(int, bool) (err error) {
		some, err = c.leaf.populated()
		return err
	})
	if err == os.ErrProcessDone {
		return false, nil
	}
	return some, err
}

func (c *cgroup) Alive() (bool, error) {
	some, err := c.inLeaf()
	if some || err != nil {
		return some, err
	}
	orphans, none, err := c.list.orphansOutside()
	switch {
	case none:
		return false, nil
	case err != nil || len(orphans) > 0:
		return true, err
	}
	return c.memberTree.Alive()
}

// Members goes by the kernel's count and by the orphans of the tree: processes that fork and exit all the time may be missed
// by every search.
func (c *cgroup) Members() ([]int, error) {
	for range maxRounds {
		some, err := c.inLeaf()
		if err != nil {
			return nil, err
		}
		orphans, none, err := c.list.orphansOutside()
		if !some && (none || err != nil) {
			return nil, err
		}
		if pids, err := c.memberTree.Members(); len(pids) > 0 || err != nil {
			return pids, err
		}
		if !some {
			return orphans, nil
		}
	}
	return nil, ErrElusive
}

func (c *cgroup) Signal(sig syscall.Signal) error {
	_, err := c.Deliver(sig)
	return err
}

func (c *cgroup) Deliver(sig syscall.Signal) ([]int, error) {
	var killed error
	if sig == syscall.SIGKILL {
		// It reaches processes that are being forked or are frozen. It misses those whose first thread has ended, or that left.
		killed = c.held(func(int, bool) error { return c.leaf.kill() })
		if killed == os.ErrProcessDone {
			return nil, killed
		}
	}
	missed, err := c.memberTree.Deliver(sig)
	if sig == syscall.SIGKILL && killed == nil { // which takes no permission for those in the leaf
		return nil, nil
	}
	return missed, errors.Join(killed, err)
}

// Pause freezes the leaf, and stops the members that left it by SIGSTOP.
func (c *cgroup) Pause() error {
	return c.held(func(int, bool) error {
		end := time.Now().Add(stopWait)
		err := c.leaf.freeze(stopWait)
		if err == nil {
			err = c.stopAll(c.outside, end)
		}
		if err != nil {
			c.restart()
			_ = c.leaf.thaw()
			return err
		}
		for _, m := range c.stopped {
			awaitStop(m, end)
		}
		return nil
	})
}

// outside calls f for every member that is not in the leaf.
func (c *cgroup) outside(f func(member)) error {
	inside := make(map[int]bool)
	if err := eachMemberIn(c.leaf.path(), func(m member) { inside[m.PID] = true }); err != nil {
		return err
	}
	return c.each(func(m member) {
		if !inside[m.PID] {
			f(m)
		}
	})
}

func (c *cgroup) Resume() error {
	return c.held(func(int, bool) error {
		c.restart()
		return c.leaf.thaw()
	})
}

func (c *cgroup) Terminate(sig syscall.Signal) error { return c.ask(c, sig) }

func (c *cgroup) Continue() {
	_ = c.Resume()
	c.memberTree.Continue()
}

// leafLister is the roster of the processes in a leaf, and of those that left it and bear the mark of the tree.
type leafLister struct {
	group *group
	leaf  *leaf
	table *childTable
	mark  uint64
}

// orphansOutside lists the orphans that bear the mark. With none, no process lives that left the leaf: the leader is dead, so every
// living descendant of it has an ancestor among our own children, or is one, and none of those bears the mark or may have
// changed it.
func (r *leafLister) orphansOutside() (orphans []int, none bool, err error) {
	if !r.group.leader.exited() { // asked first, or its children could come to us after the search
		return nil, false, nil
	}
	if r.mark == 0 {
		return nil, true, nil
	}
	orphans, certain, err := r.table.orphansMarked(r.mark)
	return orphans, err == nil && certain && len(orphans) == 0, err
}

func (r *leafLister) noOrphans() bool {
	orphans, certain, err := r.table.orphansMarked(r.mark)
	return err == nil && certain && len(orphans) == 0
}

func (r *leafLister) each(f func(member)) error {
	had := make(map[int]bool)
	err := eachMemberIn(r.leaf.path(), func(m member) {
		had[m.PID] = true
		f(m)
	})
	if r.mark == 0 || !r.group.leader.runsLocked() && r.noOrphans() {
		return err
	}
	return errors.Join(err, eachMarked(markedBy(r.mark).wanted, func(m member) {
		if !had[m.PID] {
			f(m)
		}
	}))
}

func (r *leafLister) holds(pid int) (bool, error) {
	if r.mark != 0 {
		if is, err := markedBy(r.mark).holds(pid); is || err != nil {
			return is, err
		}
	}
	return r.leaf.holds(pid)
}

func (r *leafLister) send(m member, sig syscall.Signal) error {
	return proctable.Signal(m, sig, func(member) (bool, error) { return r.holds(m.PID) })
}
