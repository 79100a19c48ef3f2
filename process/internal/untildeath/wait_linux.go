package untildeath

import (
	"syscall"
	"unsafe"
)

// These are the same on every architecture, and package syscall does not have them.
const (
	sysPidfdOpen  = 434
	sysCloseRange = 436
)

const (
	pollIn = 1 // POLLIN; POLLHUP comes unasked
	// dyingWait is the number of milliseconds between the end of the input and the death of the server, if it is that
	// which ended it.
	dyingWait = 1000
)

func init() {
	if !isKeeper() {
		return
	}
	prepare()
	var told Words
	if !told.wait() {
		syscall.Exit(1)
	}
	Told = &told
}

// isKeeper looks at argv[0] in /proc/self/cmdline: package os, which has it, comes much later.
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

// prepare ignores the signals that are sent to all processes of a server or a terminal, and closes other descriptors.
func prepare() {
	ignore := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: 1} // SIG_IGN
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ignore)), 0, unsafe.Sizeof(ignore.mask), 0, 0)
	}
	_, _, _ = syscall.RawSyscall(sysCloseRange, Input+1, 1<<31-1, 0)
	// Its name is not that of the program, so that pkill(1) of a server leaves the keeper alone.
	if fd, err := syscall.Open("/proc/self/comm", syscall.O_WRONLY|syscall.O_CLOEXEC, 0); err == nil {
		_, _ = syscall.Write(fd, []byte("keeper"))
		_ = syscall.Close(fd)
	}
}

type pollFd struct {
	fd              int32
	events, revents int16
}

// wait returns when the server is dead, and false if it lives and has no use for this keeper any more: then the input is
// closed without that. The end of the input comes with the death, except while a child of the server exists that has not
// executed its program: it has a copy of the write end. So the server's pidfd is watched too.
func (w *Words) wait() bool {
	end, ok := w.drain() // what comes first was written before the fork
	if !ok || !w.began {
		return false
	}
	pidfd, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(w.server), 0, 0)
	if errno != 0 {
		pidfd = ^uintptr(0)
	}
	fds := [2]pollFd{{fd: int32(pidfd), events: pollIn}, {fd: Input, events: pollIn}}
	for rounds := 0; syscall.Getppid() == w.server && fds[0].revents == 0; {
		if end {
			if rounds++; rounds > dyingWait {
				return false
			}
			fds[1].fd = -1
			poll(&fds, true)
			continue
		}
		poll(&fds, false)
		if end, ok = w.drain(); !ok {
			return false
		}
	}
	_, ok = w.drain() // also what was told just before the death
	return ok
}

// poll waits for one of the two, or with brief for a millisecond.
func poll(fds *[2]pollFd, brief bool) {
	var most *syscall.Timespec
	if brief {
		most = &syscall.Timespec{Nsec: 1e6}
	}
	_, _, _ = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(fds)), uintptr(len(fds)), uintptr(unsafe.Pointer(most)), 0, 0, 0)
}

// drain reads what is there. It is true at the end of the input.
func (w *Words) drain() (end, ok bool) {
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
		case !w.Take(chunk[:n]):
			return false, false
		}
	}
}
