package cgroup

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/watch"
)

// Tree is the processes in a leaf, and those that left it and have the mark of the tree. A process
// with the rights of the server can move itself to another cgroup, as su(1) does where each login
// gets one (pam_systemd(8)). The leader is signaled by its pidfd wherever it is.
type Tree struct {
	memberwise.Tree
	provider *Provider
	leaf     *leaf
	mark     uint64 // 0 for none
	counted  bool   // Usage was called
}

func newTree(s *start, l *leader.Leader, terminal bool) *Tree {
	t := &Tree{provider: s.provider, leaf: s.leaf, mark: s.mark}
	t.Tree = memberwise.Tree{
		Group:    leader.Group{Leader: l, Kernel: s.provider.kernel},
		Lister:   lister{t},
		Terminal: terminal,
	}
	return t
}

// populated reports whether the leaf has living processes, by the kernel's count. It is false once
// the tree is closed.
func (t *Tree) populated() (is bool, err error) {
	err = t.DoOpen(func(int, bool) (err error) {
		is, err = t.leaf.populated()
		return err
	})
	if err == os.ErrProcessDone {
		return false, nil
	}
	return is, err
}

// Alive uses the kernel's count and the orphans of the tree. It scans only if these do not decide.
func (t *Tree) Alive() (bool, error) {
	is, err := t.populated()
	if is || err != nil {
		return is, err
	}
	orphans, none, err := t.orphans()
	switch {
	case none:
		return false, nil
	case err != nil || len(orphans) > 0:
		return true, err
	}
	return t.Tree.Alive()
}

// Members scans until it finds a member or the kernel's count and the orphans show that there is
// none. A process that forks and exits in a loop can be missed by any number of scans; then the
// error is mark.ErrForkingTooFast.
func (t *Tree) Members() ([]int, error) {
	for range memberwise.MaxScans {
		populated, err := t.populated()
		if err != nil {
			return nil, err
		}
		orphans, none, err := t.orphans()
		if !populated && (none || err != nil) {
			return nil, err
		}
		if pids, err := t.Tree.Members(); len(pids) > 0 || err != nil {
			return pids, err
		}
		if !populated {
			return orphans, nil
		}
	}
	return nil, mark.ErrForkingTooFast
}

// Orphans lists the living orphans with the mark of the tree: see mark.Table.
func (t *Tree) Orphans() (pids []int, certain bool, err error) {
	return t.provider.table.Orphans(t.mark)
}

// orphans lists the orphans with the mark. If none is true, no process of the tree is alive outside
// the leaf: the leader has exited, so each of them would be an orphan or a descendant of one, and
// there is no orphan that has the mark or may have changed it.
func (t *Tree) orphans() (pids []int, none bool, err error) {
	if !t.Exited() { // checked first, since the leader's children are reparented after its exit
		return nil, false, nil
	}
	if t.mark == 0 {
		return nil, true, nil
	}
	pids, certain, err := t.Orphans()
	return pids, err == nil && certain && len(pids) == 0, err
}

// Signal sends sig to every member.
func (t *Tree) Signal(sig syscall.Signal) error {
	_, err := t.Deliver(sig)
	return err
}

// Deliver uses cgroup.kill for SIGKILL, which needs no permission for the processes in the leaf,
// and reaches those that are being forked or are frozen. It misses processes whose first thread has
// ended, and those outside the leaf.
func (t *Tree) Deliver(sig syscall.Signal) ([]int, error) {
	var killErr error
	if sig == syscall.SIGKILL {
		killErr = t.DoOpen(func(int, bool) error { return t.leaf.kill() })
		if killErr == os.ErrProcessDone {
			return nil, killErr
		}
	}
	denied, err := t.Tree.Deliver(sig)
	if sig == syscall.SIGKILL && killErr == nil {
		return nil, nil
	}
	return denied, errors.Join(killErr, err)
}

// Pause freezes the leaf, and sends SIGSTOP to the members outside of it.
func (t *Tree) Pause() error {
	return t.DoOpen(func(pidfd int, _ bool) error {
		deadline := time.Now().Add(memberwise.PauseWait)
		err := t.leaf.freeze(memberwise.PauseWait)
		if err == nil {
			err = t.StopLocked(pidfd, t.eachOutsideLocked, deadline)
		}
		if err != nil {
			t.ContinueStoppedLocked(pidfd)
			_ = t.leaf.thaw()
			return err
		}
		t.AwaitStoppedLocked(deadline)
		return nil
	})
}

// eachOutsideLocked calls f for every member that is not in the leaf.
func (t *Tree) eachOutsideLocked(f func(proctable.Entry)) error {
	inside := make(map[int]bool)
	if err := Dir(t.leaf.path()).Each(func(m proctable.Entry) { inside[m.PID] = true }); err != nil {
		return err
	}
	return t.EachLocked(func(m proctable.Entry) {
		if !inside[m.PID] {
			f(m)
		}
	})
}

// Resume thaws the leaf, and continues the members that Pause has stopped outside of it.
func (t *Tree) Resume() error {
	return t.DoOpen(func(pidfd int, _ bool) error {
		t.ContinueStoppedLocked(pidfd)
		return t.leaf.thaw()
	})
}

// Terminate sends sig to every member, thaws the leaf and continues stopped members.
func (t *Tree) Terminate(sig syscall.Signal) error { return t.TerminateWith(t, sig) }

// Continue thaws the leaf and continues every stopped member.
func (t *Tree) Continue() {
	_ = t.Resume()
	t.Tree.Continue()
}

// EachDescendant calls f for the processes in the leaf itself, except the leader.
func (t *Tree) EachDescendant(max int, f func(pid int, isMember func() bool)) (found bool) {
	var pids []int
	err := t.DoOpen(func(int, bool) (err error) {
		pids, err = processesIn(t.leaf.path())
		return err
	})
	for _, pid := range pids[:min(len(pids), max)] {
		if pid != t.PID {
			f(pid, func() bool { is, err := t.leaf.contains(pid); return is && err == nil })
		}
	}
	return err == nil
}

// Watch watches cgroup.events while the leaf is populated, and then the members outside of it.
func (t *Tree) Watch() *watch.Watch {
	if is, err := t.populated(); !is || err != nil {
		return t.Tree.Watch()
	}
	fd, err := unix.Open(t.leaf.path()+"/"+eventsFile, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return watch.New(os.NewFile(uintptr(fd), eventsFile), notPopulated)
}

// notPopulated is also true if that cannot be known, so that the tree is checked.
func notPopulated(events uintptr) bool {
	var buf [128]byte
	n, err := unix.Pread(int(events), buf[:], 0)
	return err != nil || valueOf(buf[:n], "populated") == 0
}

// Usage returns the times of all processes that were in the leaf, and their peak memory if it is
// counted.
func (t *Tree) Usage(killed bool) (u containment.Usage) {
	var spent cpuTime
	spent, u.HasTimes = t.leaf.spent()
	u.UserTime, u.SystemTime = spent.user, spent.system
	t.counted = true
	t.leaf.killed = t.leaf.killed || killed // the command may have written to cgroup.kill itself
	if u.HasPeakMemory = t.provider.Controls("memory"); u.HasPeakMemory {
		u.PeakMemory = t.leaf.peakMemory()
	}
	return u
}

// Close gives the leaf back and removes the tree from the child table.
func (t *Tree) Close() {
	t.CloseTree()
	if !t.counted {
		_, _ = t.leaf.spent() // not to be counted for the next tree
	}
	t.provider.subtree.give(t.leaf)
	t.provider.table.Release(t.mark)
}

// lister lists the members of a tree: the processes in the leaf, and those with the mark.
type lister struct{ tree *Tree }

func (l lister) Each(f func(proctable.Entry)) error {
	seen := make(map[int]bool)
	err := Dir(l.tree.leaf.path()).Each(func(m proctable.Entry) {
		seen[m.PID] = true
		f(m)
	})
	if l.tree.mark == 0 || !l.tree.RunningLocked() && l.noOrphans() {
		return err
	}
	return errors.Join(err, mark.Equal(l.tree.mark).Each(func(m proctable.Entry) {
		if !seen[m.PID] {
			f(m)
		}
	}))
}

func (l lister) noOrphans() bool {
	pids, certain, err := l.tree.Orphans()
	return err == nil && certain && len(pids) == 0
}

func (l lister) Contains(pid int) (bool, error) {
	if l.tree.mark != 0 {
		if is, err := mark.Equal(l.tree.mark).Contains(pid); is || err != nil {
			return is, err
		}
	}
	return l.tree.leaf.contains(pid)
}

func (l lister) Signal(m proctable.Entry, sig syscall.Signal) error {
	return proctable.Signal(m, sig, func(proctable.Entry) (bool, error) { return l.Contains(m.PID) })
}
