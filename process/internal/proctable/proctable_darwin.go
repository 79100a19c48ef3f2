package proctable

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// States of a process in sys/proc.h.
const (
	stateStopped = 4 // SSTOP
	stateZombie  = 5 // SZOMB
)

func entry(p *unix.KinfoProc, session int) Entry {
	return Entry{
		PID:     int(p.Proc.P_pid),
		Parent:  int(p.Eproc.Ppid),
		Group:   int(p.Eproc.Pgid),
		Session: session,
		Start:   uint64(p.Proc.P_starttime.Nano()),
		Stopped: p.Proc.P_stat == stateStopped,
	}
}

// Lookup returns the entry of a process, with only PID set if there is no such process. Session is
// 0 if it cannot be read.
func Lookup(pid int) Entry {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return Entry{PID: pid}
	}
	sid, err := unix.Getsid(pid)
	if err != nil {
		sid = 0
	}
	return entry(p, sid)
}

func lookup(pid int) (Entry, error) { return Lookup(pid), nil }

// GroupMembers lists the processes of a process group that have not ended.
func GroupMembers(pgid int) ([]int, error) {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.pgrp", pgid)
	if err != nil {
		return nil, err
	}
	var pids []int
	for i := range procs {
		if procs[i].Proc.P_stat != stateZombie {
			pids = append(pids, int(procs[i].Proc.P_pid))
		}
	}
	return pids, nil
}

// SessionMembers lists the processes of a session (setsid(2)) that have not ended. The system has
// no list by session, so it asks for that of each process.
func SessionMembers(sid int) ([]Entry, error) {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, err
	}
	var all []Entry
	for i := range procs {
		p := &procs[i]
		if got, err := unix.Getsid(int(p.Proc.P_pid)); err == nil && got == sid && p.Proc.P_stat != stateZombie {
			all = append(all, entry(p, sid))
		}
	}
	return all, nil
}

// Zombie reports whether a process has ended and has not been reaped. The error means that there is
// no such process.
func Zombie(pid int) (bool, error) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err == nil && p.Proc.P_stat == stateZombie, err
}

// Stopped reports whether a process is stopped by a signal, has ended, or cannot be read.
func Stopped(pid int) bool {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err != nil || p.Proc.P_stat == stateStopped || p.Proc.P_stat == stateZombie
}

// Disposition reports whether a process ignores a signal. It is false if that cannot be known.
// Whether the process blocks the signal is not known on Darwin.
func Disposition(pid int, sig syscall.Signal) (ignored, blocked bool) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err == nil && p.Proc.P_sigignore>>(sig-1)&1 == 1, false
}

// Signal sends sig to e if that is still the same process and isMember returns true for its present
// entry. Otherwise the error is ESRCH. The process id may be reused between the check and the
// signal, since there are no pidfds.
func Signal(e Entry, sig syscall.Signal, isMember func(now Entry) (bool, error)) error {
	now := Lookup(e.PID)
	if now.Start != e.Start {
		return syscall.ESRCH
	}
	is, err := isMember(now)
	if err != nil {
		return err
	}
	if !is {
		return syscall.ESRCH
	}
	return unix.Kill(e.PID, sig)
}
