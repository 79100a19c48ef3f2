// Package peer names the process at the other end of a Unix socket.
package peer

import (
	"errors"
	"syscall"
)

// ErrExited means that the process has exited.
var ErrExited = errors.New("the process at the other end of the connection has exited")

// Peer is the process that called connect(2). Its methods are called by one goroutine.
type Peer struct {
	// PID is the process id, or 0 if the process is in a PID namespace that is not visible here.
	PID int
	UID int // its effective user id, at that time
	handle
}

// Of returns the peer of a Unix socket. The caller closes it.
func Of(c syscall.Conn) (p Peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	if controlErr := raw.Control(func(fd uintptr) { p, err = of(int(fd)) }); controlErr != nil {
		return Peer{}, controlErr
	}
	return p, err
}
