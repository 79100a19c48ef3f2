package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
)

// autogroupNice is the nice value of this process's autogroup (sched(7)), 0 where there are none. It weighs the whole
// kernel session against others, and a new session begins with 0.
func autogroupNice() int {
	text, err := os.ReadFile("/proc/self/autogroup")
	if err != nil {
		return 0
	}
	_, value, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" nice ")) // "/autogroup-25 nice 5"
	nice, _ := strconv.Atoi(string(value))
	return nice
}

// setAutogroupNice gives the autogroup of a child, which must not be reaped meanwhile, a nice value. EAGAIN says that the
// kernel takes no value from an unprivileged process now: it takes ten a second from all together.
func setAutogroupNice(pid, nice int) error {
	err := writeFile("/proc/"+strconv.Itoa(pid)+"/autogroup", strconv.Itoa(nice))
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
