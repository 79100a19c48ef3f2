package bubblewrap

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Program is bwrap. It runs with the rights of the server, so it is held open from the probe on, and
// that file is executed by its descriptor, not what has its path later. It may be used from any
// goroutine.
type Program struct {
	// Path is where it was found.
	Path string

	stat unix.Stat_t // when it was opened
	mu   sync.Mutex  // for the next one
	fd   int         // O_PATH; -1 when it is closed
}

// errChanged is not the error of a client, who cannot do anything about it.
var errChanged = errors.New("the file was changed, replaced or removed since the server has tried it: restart the server if that was an upgrade")

// OpenProgram opens bwrap.
func OpenProgram(path string) (*Program, error) {
	p := &Program{Path: path}
	var err error
	if p.fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err = unix.Fstat(p.fd, &p.stat); err != nil {
		p.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return p, nil
}

// Close closes it. Nothing can be started with it any more.
func (p *Program) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}

// open returns a descriptor of the program if it is as it was. The kernel changes the status change
// time (inode(7)) with the content, the mode and the owner, and when the file gets or loses a name;
// nobody can set it.
func (p *Program) open() (fd int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var now unix.Stat_t
	if err := unix.Fstat(p.fd, &now); err != nil {
		return -1, os.NewSyscallError("fstat", err)
	}
	if now.Ctim != p.stat.Ctim || now.Size != p.stat.Size {
		return -1, fmt.Errorf("%w (%w)", errChanged, unix.ESTALE)
	}
	fd, err = unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}

// link returns the name of a symbolic link to the program, "" if it is closed.
func (p *Program) link() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return ""
	}
	return "/proc/self/fd/" + strconv.Itoa(p.fd)
}

// setUserID returns why a set-user-ID bwrap cannot be used, "" for another one. Its namespaces belong
// to root, so that this process could not enter them, nor kill what fails.
func (p *Program) setUserID() string {
	if p.stat.Mode&unix.S_ISUID != 0 {
		return p.Path + " is set-user-ID, as for kernels without user namespaces; install it without"
	}
	return ""
}
