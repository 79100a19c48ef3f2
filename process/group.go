package process

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is containment by the leader's process group. A descendant leaves it by setsid(2) or setpgid(2).
//
// It is named in one of two ways:
//
//   - by handle, where pidfd_send_signal(2) knows PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9). The leader's
//     pidfd refers to the kernel's own record of that process id, and a record is never used again, even
//     when its number is. So this stays true after the reap, with or without anyone left in the group,
//     and once the leader is out of the way signal 0 tells in a microsecond that the group is empty.
//   - by number, kill(-pgid), elsewhere; only before the reap, checked under the lock that reaping takes,
//     since the unreaped leader keeps the number from being given to anyone else.
type group struct {
	leader *leader
	sys    kernel
}

// kernel is the system calls that reach a group, so that tests can watch and take away.
type kernel struct {
	kill        func(pid int, sig syscall.Signal) error
	signalOne   func(pidfd int, sig syscall.Signal) error // nil where there is none
	signalGroup func(pidfd int, sig syscall.Signal) error // nil where there is none
	members     func(pgid int) ([]int, error)             // of the process table, without the dead
	untraced    bool                                      // ptrace(2) is refused
}

func (g *group) Kind() Containment { return Group }

func (g *group) ReapLeaderFirst() bool { return g.outlivesReap() }

func (g *group) outlivesReap() bool { return g.sys.signalGroup != nil && g.leader.handle != nil }

func (g *group) Signal(sig syscall.Signal) error {
	return g.leader.hold(func(pidfd int, reaped bool) error { return g.send(pidfd, reaped, sig) })
}

// send is signal under the leader's lock. The leader is sent sig by itself where the group may not reach it: it may
// have gone into another one, and a SIGKILL takes every way that there is.
func (g *group) send(pidfd int, reaped bool, sig syscall.Signal) error {
	err := g.sendGroup(pidfd, reaped, sig)
	if reaped || g.leader.pid <= 1 || !g.leader.runsLocked() {
		return err
	}
	if pgid, e := unix.Getpgid(g.leader.pid); sig == syscall.SIGKILL || e != nil || pgid != g.leader.pid {
		if own := g.sendLeader(pidfd, reaped, sig); err != nil && (own == nil || err == os.ErrProcessDone) {
			err = own
		}
	}
	return err
}

// sendLeader sends sig to the leader alone, under its lock.
func (g *group) sendLeader(pidfd int, reaped bool, sig syscall.Signal) (err error) {
	switch {
	case reaped || g.leader.pid <= 1:
		return os.ErrProcessDone
	case pidfd >= 0 && g.sys.signalOne != nil:
		err = g.sys.signalOne(pidfd, sig)
	default:
		err = g.sys.kill(g.leader.pid, sig)
	}
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

func (g *group) sendGroup(pidfd int, reaped bool, sig syscall.Signal) (err error) {
	switch {
	case g.outlivesReap() && pidfd >= 0:
		err = g.sys.signalGroup(pidfd, sig)
	case reaped || g.leader.pid <= 1: // kill(-1) would be everyone
		err = os.ErrProcessDone
	default:
		err = g.sys.kill(-g.leader.pid, sig)
	}
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

func (g *group) Deliver(sig syscall.Signal) (missed []int, err error) {
	err = g.Signal(sig)
	if err == nil || err == syscall.EPERM {
		missed = g.deniedMembers()
	}
	if err == syscall.EPERM && len(missed) > 0 {
		return nil, notPermitted(missed)
	}
	return missed, err
}

// deniedMembers lists the members that may not be signalled. The kernel says nothing of them where others were.
func (g *group) deniedMembers() (missed []int) {
	if unix.Geteuid() == 0 {
		return nil
	}
	pids, _ := g.Members()
	for _, pid := range pids {
		if denied(pid) {
			missed = append(missed, pid)
		}
	}
	slices.Sort(missed)
	return missed
}

func (g *group) SignalLeader(sig syscall.Signal) error {
	return g.leader.hold(func(pidfd int, reaped bool) error { return g.sendRunning(pidfd, reaped, sig) })
}

// sendRunning is sendLeader for one that has not exited.
func (g *group) sendRunning(pidfd int, reaped bool, sig syscall.Signal) error {
	if !g.leader.runsLocked() {
		return os.ErrProcessDone
	}
	err := g.sendLeader(pidfd, reaped, sig)
	if err == syscall.EPERM {
		return notPermitted([]int{g.leader.pid})
	}
	return err
}

// Pause needs no order: the kernel signals a group under one lock that fork takes too, so no member is seen
// half way and no child slips out, and a shell that would report its stopped child is stopped itself.
func (g *group) Pause() error {
	missed, err := g.Deliver(syscall.SIGSTOP)
	if len(missed) > 0 {
		_ = g.Resume()
		return notPermitted(missed)
	}
	return err
}

// Resume restarts members too that stopped themselves.
func (g *group) Resume() error { return g.Signal(syscall.SIGCONT) }

func (g *group) Terminate(sig syscall.Signal) error {
	if err := g.Signal(sig); err != nil {
		return err
	}
	g.Continue() // a signal to a stopped process only pends
	return nil
}

// Close has nothing to do: the leader tells whether its group can be named.
func (g *group) Close() {}

func (g *group) Continue() { _ = g.Signal(syscall.SIGCONT) }

func (g *group) Alive() (bool, error) {
	pids, err := g.Members()
	return len(pids) > 0, err
}

// Members asks the group itself first, for that is quick, and again after reading the process table, which
// goes by number: a group that answers now was never empty before, for nothing can join an empty one, so
// the number meant this group all the while.
func (g *group) Members() ([]int, error) {
	if g.Signal(0) == os.ErrProcessDone {
		return nil, nil
	}
	pids, err := g.sys.members(g.leader.pid)
	if g.Signal(0) == os.ErrProcessDone {
		return nil, nil
	}
	if !slices.Contains(pids, g.leader.pid) && !g.leader.exited() { // it went into another group
		pids = append(pids, g.leader.pid)
	}
	return pids, err
}

func (g *group) Watch() *watched {
	pids, _ := g.Members()
	return watchMember(pids, func(pid int) (bool, error) {
		pgid, err := unix.Getpgid(pid)
		return pgid == g.leader.pid, err
	})
}

func kill(pid int, sig syscall.Signal) error { return unix.Kill(pid, sig) }
