// Package memberwise implements trees whose members are listed and signaled one by one, except
// those in the leader's process group, which are signaled together.
package memberwise

import (
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/watch"
)

const (
	// PauseWait is how long in all a pause waits for processes to stop. It usually takes a few
	// milliseconds.
	PauseWait = 100 * time.Millisecond
	// MaxScans bounds how often the members are listed to find those that were forked meanwhile.
	MaxScans = 16
	// QuietScans is how many scans in a row must find no new member. One scan can miss a process
	// that forks and exits.
	QuietScans = 2
	// hangUpTries is how often a leader that blocks the stop signal is looked at again, and
	// hangUpDelay the time between two looks. So a hang-up takes at most 100 ms.
	hangUpTries = 100
	hangUpDelay = time.Millisecond
)

// Tree is a tree of which Lister lists the members. Everything is done under the leader's lock.
type Tree struct {
	leader.Group
	Lister containment.Lister
	// ByNumber is true if Lister uses the leader's number. It is then valid only until the leader
	// is reaped.
	ByNumber bool
	// Terminal is true if the leader may be a shell with job control.
	Terminal bool

	stopped []proctable.Entry // by Pause, in that order; under the leader's lock
	closed  bool              // under the leader's lock
}

// ReapLeaderFirst returns false: the lister does not depend on it.
func (t *Tree) ReapLeaderFirst() bool { return false }

// DoOpen runs f under the leader's lock if the members can be named. Otherwise the error is
// os.ErrProcessDone.
func (t *Tree) DoOpen(f func(pidfd int, reaped bool) error) error {
	return t.Do(func(pidfd int, reaped bool) error {
		if t.ByNumber && reaped || t.closed || t.PID <= 1 {
			return os.ErrProcessDone
		}
		return f(pidfd, reaped)
	})
}

// CloseTree makes all later calls fail or do nothing.
func (t *Tree) CloseTree() {
	_ = t.Do(func(int, bool) error {
		t.closed = true
		return nil
	})
}

// EachLocked calls f for every member within DoOpen: those that are listed, and the leader until it
// has exited, even if it is not listed.
func (t *Tree) EachLocked(f func(proctable.Entry)) error {
	found := false
	err := t.Lister.Each(func(m proctable.Entry) {
		found = found || m.PID == t.PID
		f(m)
	})
	if !found && t.RunningLocked() {
		f(proctable.Lookup(t.PID))
	}
	return err
}

// signalOneLocked sends sig to a member. The error is ESRCH if it is none any more.
func (t *Tree) signalOneLocked(pidfd int, m proctable.Entry, sig syscall.Signal) error {
	if m.PID != t.PID || t.ReapedLocked() {
		return t.Lister.Signal(m, sig)
	}
	err := t.SignalLeaderLocked(pidfd, false, sig)
	if err == os.ErrProcessDone {
		return syscall.ESRCH
	}
	return err
}

// Alive reports whether a member has not ended.
func (t *Tree) Alive() (bool, error) {
	pids, err := t.Members()
	return len(pids) > 0, err
}

// Members lists the members that have not ended. One that forks and exits in a loop can be missing.
func (t *Tree) Members() (pids []int, err error) {
	_ = t.DoOpen(func(int, bool) error {
		err = t.EachLocked(func(m proctable.Entry) { pids = append(pids, m.PID) })
		return nil
	})
	return pids, err
}

// Watch watches the oldest member. It returns nil if that is not possible.
func (t *Tree) Watch() *watch.Watch {
	pids, _ := t.Members()
	return watch.Member(pids, t.Lister.Contains)
}

// Signal sends sig to every member.
func (t *Tree) Signal(sig syscall.Signal) error {
	_, err := t.Deliver(sig)
	return err
}

// Deliver sends sig to every member, and lists those that may not be signaled, if others were.
func (t *Tree) Deliver(sig syscall.Signal) (denied []int, err error) {
	err = t.DoOpen(func(pidfd int, reaped bool) (err error) {
		denied, err = t.signalAllLocked(pidfd, reaped, sig)
		return err
	})
	return denied, err
}

// SignalLeader sends sig to the leader alone.
func (t *Tree) SignalLeader(sig syscall.Signal) error {
	return t.DoOpen(func(pidfd int, reaped bool) error { return t.SignalRunningLocked(pidfd, reaped, sig) })
}

// signalAllLocked sends sig to the leader's group at once and then to each other member. It repeats
// the scan for SIGKILL until no new member is found. It does not for other signals, since a process
// that was forked meanwhile may belong to the handler of that signal.
func (t *Tree) signalAllLocked(pidfd int, reaped bool, sig syscall.Signal) (denied []int, err error) {
	err = t.SignalLocked(pidfd, reaped, sig)
	if sig == 0 && err == nil {
		return nil, nil
	}
	groupDone := err == nil && sig != syscall.SIGKILL
	seen := make(map[id]bool)
	quiet := 0
	for range MaxScans {
		found := false
		scanErr := t.EachLocked(func(m proctable.Entry) {
			switch {
			case seen[idOf(m)]:
				return
			case groupDone && m.Group == t.PID: // the signal to the group has reached it, unless it is denied
				if leader.Denied(m.PID) {
					denied = append(denied, m.PID)
				}
				return
			}
			seen[idOf(m)], found = true, true
			switch t.signalOneLocked(pidfd, m, sig) {
			case nil:
				err = nil
			case syscall.EPERM:
				denied = append(denied, m.PID)
			}
		})
		if scanErr != nil {
			return nil, scanErr
		}
		if quiet++; found {
			quiet = 0
		}
		if quiet == QuietScans || sig != syscall.SIGKILL {
			break
		}
	}
	slices.Sort(denied)
	if err != nil && len(denied) > 0 {
		return nil, leader.NotPermitted(denied)
	}
	return denied, err
}

// id identifies a process for good.
type id struct {
	pid   int
	start uint64
}

func idOf(e proctable.Entry) id { return id{e.PID, e.Start} }

// Terminate sends sig to every member, and continues stopped ones.
func (t *Tree) Terminate(sig syscall.Signal) error { return t.TerminateWith(t, sig) }

// TerminateWith is Terminate with the methods of a tree that embeds t. On a terminal a leader that
// ignores sig gets SIGHUP: an interactive shell ignores SIGTERM, and at SIGHUP it signals its jobs,
// writes its history and exits.
func (t *Tree) TerminateWith(tree containment.Signaler, sig syscall.Signal) error {
	if err := tree.Signal(sig); err != nil {
		return err
	}
	if t.Terminal {
		t.hangUp(sig)
	}
	tree.Continue()
	return nil
}

// hangUp sends SIGHUP to a leader that ignores sig. bash blocks SIGTERM and gives it its default
// action while it forks, and ignores it again before it unblocks it, which discards a pending one.
// So a leader that blocks sig is looked at again.
func (t *Tree) hangUp(sig syscall.Signal) {
	for range hangUpTries {
		var ignored, blocked bool
		_ = t.Do(func(_ int, reaped bool) error {
			if reaped || t.PID <= 1 {
				return nil
			}
			if ignored, blocked = proctable.Disposition(t.PID, sig); ignored {
				return t.Kernel.Kill(t.PID, syscall.SIGHUP)
			}
			return nil
		})
		if ignored || !blocked {
			return
		}
		time.Sleep(hangUpDelay)
	}
}
