package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const stateStopped = 4 // SSTOP of sys/proc.h

// sessionMembers asks for all processes, and for the session of each: the system has no list by session.
func sessionMembers(sid int) ([]member, error) {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, err
	}
	var all []member
	for i := range procs {
		p := &procs[i]
		pid := int(p.Proc.P_pid)
		if got, err := unix.Getsid(pid); err != nil || got != sid || p.Proc.P_stat == stateZombie {
			continue
		}
		all = append(all, member{pid, int(p.Eproc.Ppid), int(p.Eproc.Pgid), started(p), p.Proc.P_stat == stateStopped})
	}
	return all, nil
}

func started(p *unix.KinfoProc) uint64 { return uint64(p.Proc.P_starttime.Nano()) }

// signalOne sends sig to m if that is still a process of session sid. There is no pidfd to make sure that
// it is the same one a moment later.
func signalOne(m member, sid int, sig syscall.Signal) error {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", m.pid)
	if err != nil || started(p) != m.started {
		return syscall.ESRCH
	}
	if got, err := unix.Getsid(m.pid); err != nil || got != sid {
		return syscall.ESRCH
	}
	return unix.Kill(m.pid, sig)
}

// isStopped is true for a process that is gone too.
func isStopped(pid int) bool {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err != nil || p.Proc.P_stat == stateStopped || p.Proc.P_stat == stateZombie
}

func ignores(pid int, sig syscall.Signal) bool {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err == nil && p.Proc.P_sigignore>>(sig-1)&1 == 1
}

// memberOf is what the process table has of a process that is there for certain.
func memberOf(pid int) member {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return member{pid: pid}
	}
	return member{pid, int(p.Eproc.Ppid), int(p.Eproc.Pgid), started(p), p.Proc.P_stat == stateStopped}
}
