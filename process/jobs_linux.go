package process

import (
	"bytes"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// signalOne sends sig to m if that is still a process of session sid, and ESRCH says that it is not.
func signalOne(m member, sid int, sig syscall.Signal) error {
	return signalMember(m, sig, func(st *stat) (bool, error) { return st.session == sid, nil })
}

// signalMember sends sig to m if that is still the process that it was, and still one of the tree; ESRCH says that it
// is not. The pidfd is taken first and the process table read again behind it: if the number came to be a stranger's
// before, the table shows it, and afterwards the pidfd means nobody.
func signalMember(m member, sig syscall.Signal, still func(*stat) (bool, error)) error {
	_, err := transient(func() (struct{}, error) { return struct{}{}, signalBehind(m, sig, still) })
	return err
}

func signalBehind(m member, sig syscall.Signal, still func(*stat) (bool, error)) error {
	fd, err := unix.PidfdOpen(m.pid, 0)
	switch err {
	case nil:
		defer unix.Close(fd)
	case unix.ENOSYS, unix.EPERM: // kept away by a sandbox
		fd = -1
	default:
		return err
	}
	st, err := readStat(strconv.Itoa(m.pid), make([]byte, statBytes))
	if err == nil && st.started != m.started {
		err = syscall.ESRCH
	}
	if err != nil {
		return err
	}
	is, err := still(&st)
	switch {
	case err != nil:
		return err
	case !is:
		return syscall.ESRCH
	case fd < 0:
		return unix.Kill(m.pid, sig)
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// isStopped is true for a process that is gone too.
func isStopped(pid int) bool {
	st, err := readStat(strconv.Itoa(pid), make([]byte, statBytes))
	return err != nil || st.state == 'T' || !st.living() || st.pgrp == 0
}

// ignores reads SigIgn of /proc/PID/status.
func ignores(pid int, sig syscall.Signal) bool {
	text, err := readFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		if hex, ok := bytes.CutPrefix(line, []byte("SigIgn:")); ok {
			mask, err := strconv.ParseUint(string(bytes.TrimSpace(hex)), 16, 64)
			return err == nil && mask>>(sig-1)&1 == 1
		}
	}
	return false
}
