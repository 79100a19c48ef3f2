package leader

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/watch"
)

// Group is the process group of a leader. A process leaves it by setsid(2) or setpgid(2).
//
// The group is named in one of two ways:
//
//   - By pidfd, if pidfd_send_signal(2) has PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9). The leader's
//     pidfd refers to the kernel's struct pid, which is never reused, even if its number is. So it
//     remains valid after the reap. Once the leader is reaped, signal 0 shows in a microsecond
//     whether the group is empty.
//   - By number, kill(-pgid), on other systems. That is allowed only before the reap, which is
//     checked under the lock that reaping takes.
type Group struct {
	*Leader
	Kernel Kernel
}

// OutlivesReap reports whether the group can be signaled after its leader is reaped.
func (g *Group) OutlivesReap() bool { return g.Kernel.SignalGroup != nil && g.HasHandle() }

// Signal sends sig to every member. The error is os.ErrProcessDone if there is none, or none that
// can still be named.
func (g *Group) Signal(sig syscall.Signal) error {
	return g.Do(func(pidfd int, reaped bool) error { return g.SignalLocked(pidfd, reaped, sig) })
}

// SignalLocked is Signal within Do. The leader is signaled separately if it has left the group, and
// always by SIGKILL.
func (g *Group) SignalLocked(pidfd int, reaped bool, sig syscall.Signal) error {
	err := g.signalGroup(pidfd, reaped, sig)
	if reaped || g.PID <= 1 || !g.RunningLocked() {
		return err
	}
	if pgid, e := unix.Getpgid(g.PID); sig == syscall.SIGKILL || e != nil || pgid != g.PID {
		if own := g.SignalLeaderLocked(pidfd, reaped, sig); err != nil && (own == nil || err == os.ErrProcessDone) {
			err = own
		}
	}
	return err
}

// SignalLeaderLocked sends sig to the leader alone, within Do.
func (g *Group) SignalLeaderLocked(pidfd int, reaped bool, sig syscall.Signal) (err error) {
	switch {
	case reaped || g.PID <= 1:
		return os.ErrProcessDone
	case pidfd >= 0 && g.Kernel.SignalOne != nil:
		err = g.Kernel.SignalOne(pidfd, sig)
	default:
		err = g.Kernel.Kill(g.PID, sig)
	}
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

func (g *Group) signalGroup(pidfd int, reaped bool, sig syscall.Signal) (err error) {
	switch {
	case g.OutlivesReap() && pidfd >= 0:
		err = g.Kernel.SignalGroup(pidfd, sig)
	case reaped || g.PID <= 1: // kill(-1) would signal all processes
		err = os.ErrProcessDone
	default:
		err = g.Kernel.Kill(-g.PID, sig)
	}
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

// Deliver is Signal, and lists in ascending order the members that may not be signaled, if others
// were. If none was, the error is a *NotPermittedError.
func (g *Group) Deliver(sig syscall.Signal) (denied []int, err error) {
	err = g.Signal(sig)
	if err == nil || err == syscall.EPERM {
		denied = g.deniedMembers()
	}
	if err == syscall.EPERM && len(denied) > 0 {
		return nil, NotPermitted(denied)
	}
	return denied, err
}

// deniedMembers lists the members that may not be signaled. The kernel does not report them if
// others were signaled.
func (g *Group) deniedMembers() (denied []int) {
	if unix.Geteuid() == 0 {
		return nil
	}
	pids, _ := g.Members()
	for _, pid := range pids {
		if Denied(pid) {
			denied = append(denied, pid)
		}
	}
	slices.Sort(denied)
	return denied
}

// SignalLeader sends sig to the leader alone. The error is os.ErrProcessDone if it has exited.
func (g *Group) SignalLeader(sig syscall.Signal) error {
	return g.Do(func(pidfd int, reaped bool) error { return g.SignalRunningLocked(pidfd, reaped, sig) })
}

// SignalRunningLocked is SignalLeader within Do.
func (g *Group) SignalRunningLocked(pidfd int, reaped bool, sig syscall.Signal) error {
	if !g.RunningLocked() {
		return os.ErrProcessDone
	}
	err := g.SignalLeaderLocked(pidfd, reaped, sig)
	if err == syscall.EPERM {
		return NotPermitted([]int{g.PID})
	}
	return err
}

// Pause sends SIGSTOP to every member, or to none if some may not be signaled. The kernel signals a
// group under the lock that fork takes, so no child is missed and no shell sees a child stop before
// it is stopped itself.
func (g *Group) Pause() error {
	denied, err := g.Deliver(syscall.SIGSTOP)
	if len(denied) > 0 {
		_ = g.Resume()
		return NotPermitted(denied)
	}
	return err
}

// Resume sends SIGCONT to every member, including those that were stopped before Pause.
func (g *Group) Resume() error { return g.Signal(syscall.SIGCONT) }

// Continue is Resume without an error.
func (g *Group) Continue() { _ = g.Signal(syscall.SIGCONT) }

// Terminate sends sig to every member, and SIGCONT, since a stopped process does not act on sig.
func (g *Group) Terminate(sig syscall.Signal) error {
	if err := g.Signal(sig); err != nil {
		return err
	}
	g.Continue()
	return nil
}

// Alive reports whether a member has not ended.
func (g *Group) Alive() (bool, error) {
	pids, err := g.Members()
	return len(pids) > 0, err
}

// Members lists the members that have not ended. It signals the group before and after it reads the
// process table, which goes by number. No process can join an empty group, so if the group is not
// empty after the reading, the number named this group all the time.
func (g *Group) Members() ([]int, error) {
	if g.Signal(0) == os.ErrProcessDone {
		return nil, nil
	}
	pids, err := g.Kernel.Members(g.PID)
	if g.Signal(0) == os.ErrProcessDone {
		return nil, nil
	}
	if !slices.Contains(pids, g.PID) && !g.Exited() { // the leader left the group
		pids = append(pids, g.PID)
	}
	return pids, err
}

// Watch watches the oldest member. It returns nil if that is not possible.
func (g *Group) Watch() *watch.Watch {
	pids, _ := g.Members()
	return watch.Member(pids, func(pid int) (bool, error) {
		pgid, err := unix.Getpgid(pid)
		return pgid == g.PID, err
	})
}

// ReapLeaderFirst reports whether to reap the leader before the group is checked for other members,
// which is then cheaper.
func (g *Group) ReapLeaderFirst() bool { return g.OutlivesReap() }
