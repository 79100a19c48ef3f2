package peer

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/poller"
)

// handle is a pidfd, so that the process id is not confused with one that is used again.
type handle struct{ pidfd int }

func of(socket int) (p Peer, err error) {
	cred, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	p = Peer{PID: int(cred.Pid), UID: int(cred.Uid), handle: handle{-1}}
	if p.PID <= 0 || p.PID == os.Getpid() {
		return p, nil
	}
	p.pidfd, err = unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == unix.ENOPROTOOPT { // before Linux 6.5; the process id may have been used again since connect(2)
		p.pidfd, err = unix.PidfdOpen(p.PID, 0)
	}
	switch err {
	case nil:
		return p, nil
	case unix.ENOSYS, unix.EPERM: // pidfd_open(2) is refused by a sandbox
		p.pidfd = -1
		return p, nil
	case unix.ESRCH, unix.EINVAL: // EINVAL if the process is reaped, before Linux 6.16
		return Peer{}, ErrExited
	default:
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERPIDFD", err)
	}
}

// Exited reports whether the process has exited. It is false if there is no pidfd.
func (p *Peer) Exited() bool { return p.pidfd >= 0 && poller.Readable(p.pidfd) }

// Close releases the process.
func (p *Peer) Close() {
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
	}
}
