package serverwatch

import (
	"syscall"
	"unsafe"
)

// System call numbers that package syscall lacks; they are the same on every architecture.
const (
	sysPidfdOpen  = 434
	sysCloseRange = 436
)

const (
	pollIn = 1 // POLLIN; POLLHUP is always reported
	// exitWait is how many milliseconds after the end of the input a server may still take to exit.
	exitWait = 1000
)

func init() {
	if !isKeeper() {
		return
	}
	isolate()
	var s State
	if !s.wait() {
		syscall.Exit(1)
	}
	Received = &s
}

// isKeeper reads argv[0] from /proc/self/cmdline. Package os, which has it too, is initialized much
// later.
func isKeeper() bool {
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	var name [len(Name) + 1]byte
	n, _ := syscall.Read(fd, name[:])
	_ = syscall.Close(fd)
	return n == len(name) && string(name[:]) == Name+"\x00"
}

// isolate ignores the signals that a service manager or a terminal sends to all processes, closes
// inherited descriptors, and changes the command name.
func isolate() {
	ignore := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: 1} // SIG_IGN
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ignore)), 0, unsafe.Sizeof(ignore.mask), 0, 0)
	}
	_, _, _ = syscall.RawSyscall(sysCloseRange, Input+1, 1<<31-1, 0)
	// A different command name, so that pkill(1) of the server does not match the keeper.
	if fd, err := syscall.Open("/proc/self/comm", syscall.O_WRONLY|syscall.O_CLOEXEC, 0); err == nil {
		_, _ = syscall.Write(fd, []byte("keeper"))
		_ = syscall.Close(fd)
	}
}

type pollFd struct {
	fd              int32
	events, revents int16
}

// wait returns true after the server has exited, and false if the server has closed the input and
// runs on.
//
// The end of the input alone is not sufficient: a child of the server has a copy of the write end
// until its exec. So wait watches the server's pidfd too.
func (s *State) wait() bool {
	end, ok := s.readAvailable() // the first line was written before the fork
	if !ok || !s.configured {
		return false
	}
	pidfd, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(s.server), 0, 0)
	if errno != 0 {
		pidfd = ^uintptr(0)
	}
	fds := [2]pollFd{{fd: int32(pidfd), events: pollIn}, {fd: Input, events: pollIn}}
	for rounds := 0; syscall.Getppid() == s.server && fds[0].revents == 0; {
		if end {
			if rounds++; rounds > exitWait {
				return false
			}
			fds[1].fd = -1
			poll(&fds, true)
			continue
		}
		poll(&fds, false)
		if end, ok = s.readAvailable(); !ok {
			return false
		}
	}
	_, ok = s.readAvailable() // what the server wrote just before it exited
	return ok
}

// poll waits for an event, with brief for at most a millisecond.
func poll(fds *[2]pollFd, brief bool) {
	var timeout *syscall.Timespec
	if brief {
		timeout = &syscall.Timespec{Nsec: 1e6}
	}
	_, _, _ = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(fds)), uintptr(len(fds)), uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
}

// readAvailable parses all input that can be read without blocking. end is true at the end of the
// input, ok is false after an error or malformed input.
func (s *State) readAvailable() (end, ok bool) {
	var chunk [4096]byte
	for {
		n, err := syscall.Read(Input, chunk[:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false, true
		case err != nil:
			return false, false
		case n == 0:
			return true, true
		case !s.Parse(chunk[:n]):
			return false, false
		}
	}
}
