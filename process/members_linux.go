package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// groupMembers reads /proc for the living processes of a group (proc_pid_stat(5)). Zombies are left out:
// where init does not reap they stay for ever.
func groupMembers(pgid int) ([]int, error) {
	var pids []int
	err := eachProcess(func(pid int, st *stat) {
		if st.pgrp == pgid && st.living() {
			pids = append(pids, pid)
		}
	})
	return pids, err
}

// sessionMembers is the same for a session (setsid(2)).
func sessionMembers(sid int) ([]member, error) {
	var all []member
	err := eachProcess(func(pid int, st *stat) {
		if st.session == sid && st.living() {
			all = append(all, st.member(pid))
		}
	})
	return all, err
}

// memberOf is what the process table has of a process that is there for certain.
func memberOf(pid int) member {
	st, _ := readStat(strconv.Itoa(pid), make([]byte, statBytes))
	return st.member(pid)
}

// eachProcess calls f for all that are to be seen.
func eachProcess(f func(pid int, st *stat)) error {
	buf := make([]byte, statBytes)
	return eachNumber(func(name string, pid int) error {
		st, err := readStat(name, buf)
		if err != nil {
			return err
		}
		f(pid, &st)
		return nil
	})
}

// eachNumber calls f for the number of every process, in the order of numbers. The list is read piece by piece, so
// that who was forked meanwhile under a higher number is found too.
func eachNumber(f func(name string, pid int) error) error {
	proc, err := os.Open("/proc")
	if exhausted(err) { // then it is read at once
		names, err := listNames("/proc")
		if err != nil {
			return err
		}
		return eachNumberOf(names, f)
	}
	if err != nil {
		return err
	}
	defer proc.Close()
	for {
		names, err := proc.Readdirnames(128)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := eachNumberOf(names, f); err != nil {
			return err
		}
	}
}

func eachNumberOf(names []string, f func(name string, pid int) error) error {
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if err := f(name, pid); err != nil {
			return err
		}
	}
	return nil
}

// statBytes is enough for what is read of a line of /proc/PID/stat.
const statBytes = 1024

// stat is what of /proc/PID/stat matters here.
type stat struct {
	state   byte
	parent  int
	pgrp    int
	session int
	threads int
	started uint64 // in clock ticks since the boot
}

// living is false for the dead, reaped or not. A process whose first thread ended before the others shows
// as a zombie too, but has more threads than that one.
func (s stat) living() bool { return s.state != 'Z' && s.state != 'X' || s.threads > 1 }

func (s stat) member(pid int) member {
	return member{pid, s.parent, s.pgrp, s.started, s.state == 'T'}
}

// readStat returns a stat of no group for a process that is gone meanwhile or hidden from us, and an error
// only where a process may have been overlooked (out of descriptors).
func readStat(pid string, buf []byte) (stat, error) {
	n, err := readOnce("/proc/"+pid+"/stat", buf)
	switch err {
	case nil:
		return parseStat(buf[:n])
	case unix.ENOENT, unix.ESRCH, unix.EACCES, unix.EPERM:
		return stat{}, nil
	}
	return stat{}, os.NewSyscallError("read /proc/PID/stat", err)
}

// parseStat reads "pid (name) state ppid pgrp …". The name may hold anything, so its end is the last ')'.
func parseStat(line []byte) (stat, error) {
	const state, parent, pgrp, session, threads, started = 0, 1, 2, 3, 17, 19 // fields after the name
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) <= started {
		return stat{}, fmt.Errorf("process: /proc/PID/stat has %d fields after the name", len(fields))
	}
	var err error
	number := func(field int) int {
		n, e := strconv.Atoi(string(fields[field]))
		err = errors.Join(err, e)
		return n
	}
	st := stat{fields[state][0], number(parent), number(pgrp), number(session), number(threads), 0}
	ticks, e := strconv.ParseUint(string(fields[started]), 10, 64)
	st.started = ticks
	return st, errors.Join(err, e)
}
