package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() { programs["runnel-filtered"] = filteredMain }

// filterActions are what the filter of filteredMain does.
var filterActions = map[string]uint32{
	"kill":   unix.SECCOMP_RET_KILL_PROCESS,
	"EPERM":  unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM),
	"ENOSYS": unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS),
}

// filterCalls are the system calls that it may refuse.
var filterCalls = map[string]uint32{
	"landlock": unix.SYS_LANDLOCK_CREATE_RULESET, "mount": unix.SYS_MOUNT, "openat2": unix.SYS_OPENAT2,
	"seccomp": unix.SYS_SECCOMP, "setns": unix.SYS_SETNS,
}

// filteredMain executes a program with a filter of system calls, as containers and units of systemd
// have one: runnel-filtered ACTION CALL,… PROGRAM ARGS….
func filteredMain() {
	runtime.LockOSThread() // the filter is that of the thread that executes the program
	action, calls := filterActions[os.Args[1]], strings.Split(os.Args[2], ",")
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	for i, name := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: filterCalls[name], Jt: uint8(len(calls) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	path, err := exec.LookPath(os.Args[3])
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	}
	if err == nil {
		err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	if err == nil {
		err = unix.Exec(path, os.Args[3:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "runnel-filtered:", err)
	os.Exit(99)
}
