package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// Stat is a part of /proc/PID/stat (proc_pid_stat(5)).
type Stat struct {
	State    byte   // R, S, D, T, t, Z, X, …
	Parent   int    // process id
	Group    int    // process group id
	Session  int    // session id
	Terminal uint64 // device number of the controlling terminal, 0 if there is none
	Threads  int
	Start    uint64 // in clock ticks since the boot; with the process id it identifies a process
}

// statBytes is enough for the fields of Stat.
const statBytes = 1024

// Alive reports whether the process has not ended; it is false for the zero Stat. A process whose
// first thread has ended before the others is shown as a zombie too, but has more than one thread.
func (s *Stat) Alive() bool {
	return s.State != 0 && (s.State != 'Z' && s.State != 'X' || s.Threads > 1)
}

// ReadStat reads /proc/PID/stat. It returns the zero Stat for a process that has been reaped or is
// hidden, and an error only if it cannot be known whether the process exists, as with no free
// descriptor.
func ReadStat(pid int) (Stat, error) {
	return readStat(strconv.Itoa(pid), make([]byte, statBytes))
}

// ReadThreadStat reads /proc/PID/task/TID/stat in the same way.
func ReadThreadStat(pid, tid int) (Stat, error) {
	return readStat(strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid), make([]byte, statBytes))
}

func readStat(dir string, buf []byte) (Stat, error) {
	n, err := fdreserve.ReadOnce("/proc/"+dir+"/stat", buf)
	switch err {
	case nil:
		return parseStat(buf[:n])
	case unix.ENOENT, unix.ESRCH, unix.EACCES, unix.EPERM:
		return Stat{}, nil
	}
	return Stat{}, os.NewSyscallError("read /proc/PID/stat", err)
}

// parseStat parses "pid (name) state ppid pgrp …". The name may contain any byte, so it ends at the
// last ')'.
func parseStat(line []byte) (Stat, error) {
	const state, parent, group, session, terminal, threads, start = 0, 1, 2, 3, 4, 17, 19 // fields after the name
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) <= start {
		return Stat{}, fmt.Errorf("/proc/PID/stat has %d fields after the name", len(fields))
	}
	if st := fields[state]; len(st) != 1 || st[0] < 'A' || st[0] > 'z' {
		return Stat{}, fmt.Errorf("/proc/PID/stat has the state %q", st)
	}
	var err error
	number := func(field int) int {
		n, e := strconv.Atoi(string(fields[field]))
		err = errors.Join(err, e)
		return n
	}
	s := Stat{
		State:    fields[state][0],
		Parent:   number(parent),
		Group:    number(group),
		Session:  number(session),
		Terminal: uint64(uint32(number(terminal))), // new_encode_dev of linux/kdev_t.h, as unix.Mkdev for small numbers
		Threads:  number(threads),
	}
	ticks, e := strconv.ParseUint(string(fields[start]), 10, 64)
	s.Start = ticks
	return s, errors.Join(err, e)
}

// EachProcess calls f for all processes that are visible in /proc, in the order of their ids. s is
// valid during the call only, and the zero Stat for a process that has been reaped since it was
// listed.
func EachProcess(f func(pid int, s *Stat)) error {
	buf := make([]byte, statBytes)
	return eachProcess(func(name string, pid int) error {
		s, err := readStat(name, buf)
		if err != nil {
			return err
		}
		f(pid, &s)
		return nil
	})
}

// EachPID calls f for the ids of all processes that are visible in /proc, in ascending order, until
// f returns an error. The directory is read in parts, so a process that is forked meanwhile with a
// higher id is found too.
func EachPID(f func(pid int) error) error {
	return eachProcess(func(_ string, pid int) error { return f(pid) })
}

func eachProcess(f func(name string, pid int) error) error {
	proc, err := os.Open("/proc")
	if fdreserve.Exhausted(err) {
		names, err := fdreserve.ReadDirNames("/proc")
		if err != nil {
			return err
		}
		return eachNumber(names, f)
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
		if err := eachNumber(names, f); err != nil {
			return err
		}
	}
}

// eachNumber calls f for the names that are numbers.
func eachNumber(names []string, f func(name string, pid int) error) error {
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
