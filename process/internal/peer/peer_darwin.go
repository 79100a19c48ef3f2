package peer

import (
	"os"

	"golang.org/x/sys/unix"
)

// handle is nothing: there are no pidfds.
type handle struct{}

func of(socket int) (p Peer, err error) {
	p.PID, err = unix.GetsockoptInt(socket, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	return p, os.NewSyscallError("getsockopt LOCAL_PEERPID", err)
}

// Exited is false: it is not known.
func (p *Peer) Exited() bool { return false }

// Close does nothing.
func (p *Peer) Close() {}
