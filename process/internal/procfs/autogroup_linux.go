package procfs

import (
	"bytes"
	"errors"
	"strconv"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// OwnAutogroupNice returns the nice value of the autogroup of this process (sched(7)), or 0 if the
// kernel has no autogroups. The value weighs a session against others; a new session starts with 0.
func OwnAutogroupNice() int {
	text, err := fdreserve.ReadFile("/proc/self/autogroup")
	if err != nil {
		return 0
	}
	_, value, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" nice ")) // "/autogroup-25 nice 5"
	nice, _ := strconv.Atoi(string(value))
	return nice
}

// SetAutogroupNice sets the nice value of the autogroup of a child that the caller does not reap
// meanwhile. The error is a syscall.Errno. EAGAIN means that the call may succeed later: the kernel
// takes about ten values per second from unprivileged processes.
func SetAutogroupNice(pid, nice int) error {
	err := fdreserve.WriteFile("/proc/"+strconv.Itoa(pid)+"/autogroup", strconv.Itoa(nice))
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
