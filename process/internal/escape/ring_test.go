//go:build linux

package escape

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The numbers of io_uring(7).
const (
	opOpenat, opSocket     = 18, 45
	enterGetEvents         = 1
	offsetEntries, ringLen = 0x10000000, 4096
)

// ringParams is struct io_uring_params.
type ringParams struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, workQueue uint32
	reserved                                                                [3]uint32
	sq, cq                                                                  ringOffsets
}

// ringOffsets is struct io_sqring_offsets, and io_cqring_offsets, in which the last two are others.
type ringOffsets struct {
	head, tail, mask, entries, e5, e6, e7, reserved uint32
	address                                         uint64
}

// submission is struct io_uring_sqe.
type submission struct {
	op, flags    uint8
	priority     uint16
	fd           int32
	offset, addr uint64
	length, arg  uint32
	data         uint64
	rest         [3]uint64
}

// byRing submits one operation to a new io_uring, and returns its result.
func byRing(op submission) (int, error) {
	p := &ringParams{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(p)), 0)
	if errno != 0 {
		return -1, errno
	}
	rings, err := unix.Mmap(int(fd), 0, ringLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return -1, err
	}
	entries, err := unix.Mmap(int(fd), offsetEntries, ringLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return -1, err
	}
	*(*submission)(unsafe.Pointer(&entries[0])) = op
	// The array of indexes is at e7 of the submission ring (its field "array"); index 0 is there.
	atomic.AddUint32((*uint32)(unsafe.Pointer(&rings[p.sq.tail])), 1)
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, fd, 1, 1, enterGetEvents, 0, 0); errno != 0 {
		return -1, errno
	}
	if atomic.LoadUint32((*uint32)(unsafe.Pointer(&rings[p.cq.tail]))) == 0 {
		return -1, errors.New("no completion")
	}
	result := *(*int32)(unsafe.Pointer(&rings[p.cq.e6+8])) // "cqes", each {user_data, res, flags}
	if result < 0 {
		return -1, syscall.Errno(-result)
	}
	return int(result), nil
}

func readByRing(name string) error {
	fd, err := byRing(submission{op: opOpenat, fd: unix.AT_FDCWD, addr: uint64(path(name))})
	if err != nil {
		return err
	}
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	_, _ = os.Stdout.Write(buf[:max(n, 0)])
	return err
}

func socketByRing(family, kind int) (int, error) {
	return byRing(submission{op: opSocket, fd: int32(family), offset: uint64(kind)})
}
