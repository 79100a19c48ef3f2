package proctable

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

func entry(pid int, s *procfs.Stat) Entry {
	return Entry{PID: pid, Parent: s.Parent, Group: s.Group, Session: s.Session, Start: s.Start, Stopped: s.State == 'T'}
}

// Lookup returns the entry of a process, with only PID set if there is no such process or it cannot
// be read.
func Lookup(pid int) Entry {
	e, _ := lookup(pid)
	return e
}

// lookup is Lookup, with an error if it cannot be known whether the process exists.
func lookup(pid int) (Entry, error) {
	s, err := procfs.ReadStat(pid)
	return entry(pid, &s), err
}

// LookupAlive returns the entry of a process; alive is false if it has ended or is hidden. An error
// means that this cannot be known.
func LookupAlive(pid int) (e Entry, alive bool, err error) {
	s, err := procfs.ReadStat(pid)
	return entry(pid, &s), err == nil && s.Alive(), err
}

// EachAlive calls f for every process that has not ended, as it is found. An error means that some
// may have been missed.
func EachAlive(f func(Entry)) error {
	return procfs.EachProcess(func(pid int, s *procfs.Stat) {
		if s.Alive() {
			f(entry(pid, s))
		}
	})
}

// GroupMembers lists the processes of a process group that have not ended. Zombies are left out: if
// init does not reap, they stay forever. An error means that some may have been missed.
func GroupMembers(pgid int) (pids []int, err error) {
	err = EachAlive(func(e Entry) {
		if e.Group == pgid {
			pids = append(pids, e.PID)
		}
	})
	return pids, err
}

// SessionMembers lists the processes of a session (setsid(2)) that have not ended. An error means
// that some may have been missed.
func SessionMembers(sid int) (all []Entry, err error) {
	err = EachAlive(func(e Entry) {
		if e.Session == sid {
			all = append(all, e)
		}
	})
	return all, err
}

// Stopped reports whether a process is stopped by a signal, has ended, or cannot be read.
func Stopped(pid int) bool {
	s, err := procfs.ReadStat(pid)
	return err != nil || s.State == 'T' || !s.Alive()
}

// Disposition reports whether a process ignores a signal, and whether its first thread blocks it, at
// the same time. Both are false if that cannot be known.
func Disposition(pid int, sig syscall.Signal) (ignored, blocked bool) {
	return procfs.Disposition(pid, sig)
}

// Signal sends sig to e if that is still the same process and isMember returns true for its present
// entry. Otherwise the error is ESRCH. The pidfd is opened first and the process table is read
// after that: if the process id was reused before, the table shows it, and if it is reused later,
// the pidfd names no process.
func Signal(e Entry, sig syscall.Signal, isMember func(now Entry) (bool, error)) error {
	_, err := fdreserve.Do(func() (struct{}, error) { return struct{}{}, signal(e, sig, isMember) })
	return err
}

func signal(e Entry, sig syscall.Signal, isMember func(now Entry) (bool, error)) error {
	fd, err := unix.PidfdOpen(e.PID, 0)
	switch err {
	case nil:
		defer unix.Close(fd)
	case unix.ENOSYS, unix.EPERM: // refused by a sandbox
		fd = -1
	default:
		return err
	}
	s, err := procfs.ReadStat(e.PID)
	if err == nil && s.Start != e.Start {
		err = syscall.ESRCH
	}
	if err != nil {
		return err
	}
	is, err := isMember(entry(e.PID, &s))
	switch {
	case err != nil:
		return err
	case !is:
		return syscall.ESRCH
	case fd < 0:
		return unix.Kill(e.PID, sig)
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
