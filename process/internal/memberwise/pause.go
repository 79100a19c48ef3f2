package memberwise

import (
	"cmp"
	"slices"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// Pause stops parents before their children, the leader first. A shell that is stopped already does
// not see its jobs stop, nor later, since Resume continues children first. Processes that were
// stopped before are left out.
func (t *Tree) Pause() error {
	return t.DoOpen(func(pidfd int, _ bool) error {
		err := t.StopLocked(pidfd, t.EachLocked, time.Now().Add(PauseWait))
		if err != nil {
			t.ContinueStoppedLocked(pidfd)
		}
		return err
	})
}

// StopLocked stops the members that each lists, within DoOpen. It repeats the scan until no new
// member is found.
func (t *Tree) StopLocked(pidfd int, each func(func(proctable.Entry)) error, deadline time.Time) (err error) {
	seen := make(map[id]bool)
	var denied []int
	quiet := 0
	for scan := 0; scan < MaxScans && quiet < QuietScans; scan++ {
		var all []proctable.Entry
		if err := each(func(m proctable.Entry) { all = append(all, m) }); err != nil {
			return err
		}
		parents := sortParentsFirst(all, t.PID)
		quiet++
		for _, m := range all {
			if m.Stopped || seen[idOf(m)] {
				continue
			}
			seen[idOf(m)], quiet = true, 0
			if e := t.signalOneLocked(pidfd, m, syscall.SIGSTOP); e != nil {
				switch e {
				case syscall.ESRCH:
				case syscall.EPERM: // it has another user, as after sudo(8)
					denied = append(denied, m.PID)
				default:
					err = e
				}
				continue
			}
			t.stopped = append(t.stopped, m)
			if parents[m.PID] {
				awaitStop(m, deadline)
			}
		}
	}
	if len(denied) > 0 {
		return leader.NotPermitted(denied)
	}
	return err
}

// AwaitStoppedLocked waits until all processes that StopLocked has signaled are stopped or deadline
// has passed.
func (t *Tree) AwaitStoppedLocked(deadline time.Time) {
	for _, m := range t.stopped {
		awaitStop(m, deadline)
	}
}

// awaitStop waits until m has stopped or ended, or deadline has passed.
func awaitStop(m proctable.Entry, deadline time.Time) {
	for !proctable.Stopped(m.PID) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Microsecond)
	}
}

// Resume continues the members that Pause has stopped.
func (t *Tree) Resume() error {
	return t.DoOpen(func(pidfd int, _ bool) error {
		t.ContinueStoppedLocked(pidfd)
		return nil
	})
}

// ContinueStoppedLocked undoes StopLocked, children before parents.
func (t *Tree) ContinueStoppedLocked(pidfd int) {
	for _, m := range slices.Backward(t.stopped) {
		_ = t.signalOneLocked(pidfd, m, syscall.SIGCONT)
	}
	t.stopped = nil
}

// Continue continues every stopped member, whatever has stopped it.
func (t *Tree) Continue() {
	_ = t.DoOpen(func(pidfd int, reaped bool) error {
		t.stopped = nil
		_, err := t.signalAllLocked(pidfd, reaped, syscall.SIGCONT)
		return err
	})
}

// sortParentsFirst sorts all so that parents come before their children and the leader first. It
// returns which of them have children among all.
func sortParentsFirst(all []proctable.Entry, leader int) (parents map[int]bool) {
	parent := make(map[int]int, len(all))
	for _, m := range all {
		parent[m.PID] = m.Parent
	}
	parents = make(map[int]bool)
	depth := make(map[int]int, len(all))
	for _, m := range all {
		up := m.Parent
		if _, ok := parent[up]; ok {
			parents[up] = true
		}
		for d := 1; d <= len(all); d++ { // bounded, since entries read at different times may form a cycle
			next, ok := parent[up]
			if !ok {
				break
			}
			depth[m.PID], up = d, next
		}
	}
	depth[leader] = -1
	slices.SortStableFunc(all, func(a, b proctable.Entry) int { return cmp.Compare(depth[a.PID], depth[b.PID]) })
	return parents
}
