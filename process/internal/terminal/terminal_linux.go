package terminal

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
	disabled   = 0 // _POSIX_VDISABLE
)

// OpenIn is Open in an instance of devpts, given a descriptor (O_PATH) of its file ptmx. The terminal
// has its name there, wherever the caller has mounted what, and outlives the mount.
func OpenIn(ptmx, rows, cols int) (Pair, error) {
	master, err := reopen(ptmx)
	if err != nil {
		return Pair{-1, -1, -1}, err
	}
	slave, err := openSlave(master)
	if err != nil {
		_ = master.Close()
		return Pair{-1, -1, -1}, err
	}
	return newPair(master, slave, rows, cols)
}

func reopen(fd int) (*os.File, error) {
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDWR|unix.O_NOCTTY, 0)
}

// openSlave unlocks and opens the slave without its path (ioctl_tty(2), TIOCGPTPEER). It is opened twice,
// since the first open file would have O_CLOEXEC among its status flags, where programs see it.
func openSlave(master *os.File) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return nil, os.NewSyscallError("ioctl", errno)
	}
	defer unix.Close(int(fd))
	return reopen(int(fd))
}
