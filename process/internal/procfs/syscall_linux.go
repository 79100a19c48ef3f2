package procfs

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// Threads returns the ids of at most n threads of a process. It needs a free file descriptor.
func Threads(pid, n int) (tids []int) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(n)
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// Syscall returns the system call in which a thread is blocked, and its arguments
// (proc_pid_syscall(5)). ok is false if it is in none, or may not be inspected (ptrace(2)).
func Syscall(pid, tid int) (call int64, args [6]uint64, ok bool) {
	var buf [256]byte
	n, err := fdreserve.ReadOnce("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid)+"/syscall", buf[:])
	if err != nil {
		return 0, args, false
	}
	return parseSyscall(string(buf[:n]))
}

// parseSyscall parses "number arguments… sp pc". The line is "running" for a thread that runs.
func parseSyscall(line string) (call int64, args [6]uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 1+len(args) {
		return 0, args, false
	}
	call, err := strconv.ParseInt(fields[0], 10, 64)
	for i := range args {
		var e error
		if args[i], e = strconv.ParseUint(fields[1+i], 0, 64); e != nil {
			err = e
		}
	}
	return call, args, err == nil
}

// FDLink returns the target of the link of a descriptor (proc_pid_fd(5)).
func FDLink(pid int, fd uint64) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/fd/"+strconv.FormatUint(fd, 10), buf[:])
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// EpollTarget is a descriptor that an epoll instance watches.
type EpollTarget struct {
	FD     uint64
	Events uint64 // EPOLLIN, …
}

// epollLineBytes is about the length of the line of one target.
const epollLineBytes = 80

// EpollTargets returns about n of the descriptors that an epoll instance watches
// (proc_pid_fdinfo(5)), or none if they cannot be read.
func EpollTargets(pid int, fd uint64, n int) []EpollTarget {
	text := make([]byte, n*epollLineBytes)
	n, err := fdreserve.ReadOnce("/proc/"+strconv.Itoa(pid)+"/fdinfo/"+strconv.FormatUint(fd, 10), text)
	if err != nil {
		return nil
	}
	return parseEpollTargets(string(text[:n]))
}

// parseEpollTargets parses lines of "tfd:        0 events:       19 data: …".
func parseEpollTargets(text string) (targets []EpollTarget) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "tfd:" {
			continue
		}
		fd, err := strconv.ParseUint(fields[1], 10, 32)
		events, e := strconv.ParseUint(fields[3], 16, 64)
		if err == nil && e == nil {
			targets = append(targets, EpollTarget{fd, events})
		}
	}
	return targets
}
