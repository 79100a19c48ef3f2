package landlock

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// The rights of Landlock that an access of a sandbox means. No access includes device files.
const (
	readFiles  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	list       = unix.LANDLOCK_ACCESS_FS_READ_DIR
	read       = readFiles | list
	writeFiles = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	write      = read | writeFiles | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	// device is what a command may do with one of its device files.
	device = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// ofFiles are the rights that a rule for something else than a directory can have. The others do
	// not matter there.
	ofFiles = readFiles | writeFiles | device | unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
)

func rights(a sandbox.Access) uint64 {
	switch a {
	case sandbox.Read:
		return read
	case sandbox.Write:
		return write
	}
	return 0
}

// known returns the rights that an ABI has.
func known(abi int) uint64 {
	known := uint64(unix.LANDLOCK_ACCESS_FS_REFER - 1) // those of the first ABI are the bits below it
	if abi >= MinInside {
		known |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= MinAlone {
		known |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= ioctlABI {
		known |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= resolveABI {
		known |= unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	}
	return known
}

// devices are the device files that every command has, below /dev.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}
