package spawn

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sandbox is what a command gets for its sandbox, besides no_new_privs and the loss of all
// capabilities. Its descriptors are used by Step.Enter or, without namespaces, by Step.Continue, and
// belong to the caller.
type Sandbox struct {
	// PIDFD is of a process whose namespaces the command enters, -1 for none. Flags says which
	// (setns(2)). The descriptors of Command.Opened are then of files in its mount namespace.
	PIDFD, Flags int
	Ruleset      int // of landlock(7), -1 for none
	// Terminal is the slave of a terminal that replaces the standard descriptors of the command when it
	// has entered the namespaces, since its name exists only there; -1 for none.
	Terminal int
	// ProtectDevices makes the mounts of /dev/null and the like read-only in the mount namespace of
	// PIDFD, where each has to be a mount, and replaces a standard input that is /dev/null. It is for
	// commands with the user id 0: what others enter may have namespaces in which they cannot mount.
	ProtectDevices bool
	Filter         []unix.SockFilter // for seccomp(2), at most 4096 instructions; nil for none
	// CoreLimit sets a hard RLIMIT_CORE of 1 byte. With that the kernel starts no program for a core
	// dump (core(5)), which it does outside of all namespaces, even with a limit of 0.
	CoreLimit bool
}

// Entered are the processes that a step has made to enter namespaces. Both are children of this process.
type Entered struct {
	Helper int // has entered them, has exited or is about to, and is to be reaped
	PID    int // becomes the command
}

// Enter makes the step enter the namespaces of its sandbox, which takes two more processes: setns(2)
// needs a process with a single thread, and only a child of that is in the PID namespace. It returns
// once the second one exists, which waits for Continue. The step has exited then, or is about to, and
// the caller reaps it. The end of ctx kills them all.
//
// After an error the caller kills the process group of the step and reaps all of its processes. An
// *Error is what failed in one of them.
func (s *Step) Enter(ctx context.Context, pid int) (e Entered, err error) {
	err = s.unlessDone(ctx, -pid, func() error { e, err = s.enter(); return err })
	if err != nil {
		s.close()
		return Entered{}, err
	}
	s.entered = true
	return e, nil
}

func (s *Step) enter() (e Entered, err error) {
	if err := s.awaitReady(); err != nil {
		return e, err
	}
	if err := s.sendOrder(); err != nil {
		return e, err
	}
	kind, first, second, err := readStatus(s.status)
	switch {
	case err == io.EOF: // a process was killed
		return e, syscall.EAGAIN
	case err != nil:
		return e, err
	case kind == failed:
		return e, &Error{Op(first), syscall.Errno(second)}
	}
	return Entered{Helper: int(first), PID: int(second)}, nil
}

// proceedEntered is proceed for a process that has entered namespaces.
func (s *Step) proceedEntered(pid int) error {
	if err := s.command.Setup.apply(pid); err != nil {
		return err
	}
	if _, err := s.order.Write([]byte{1}); err != nil && !isGone(err) {
		return err
	}
	return statusError(s.order)
}

// openSocket makes the two ends of the socket that carries the order and the descriptors of a
// sandbox. The process that becomes the command also writes to it what failed.
func openSocket() (child, own *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	_ = unix.SetNonblock(fds[1], true)
	return os.NewFile(uintptr(fds[0]), "order"), os.NewFile(uintptr(fds[1]), "order"), nil
}

// sendDescriptors sends the descriptors of the sandbox behind the order, in the order in which
// receive expects them.
func (s *Step) sendDescriptors() error {
	opened, sandbox := s.command.Opened, s.command.Setup.Sandbox
	fds := []int{opened.Dir, opened.Program}
	for _, fd := range []int{sandbox.Ruleset, sandbox.PIDFD, sandbox.Terminal} {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	raw, err := s.order.SyscallConn()
	if err != nil {
		return err
	}
	writeErr := raw.Write(func(socket uintptr) bool {
		err = unix.Sendmsg(int(socket), []byte{1}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		return err != unix.EAGAIN && err != unix.EINTR
	})
	if writeErr != nil {
		err = writeErr
	}
	return err
}

// received are the descriptors of a sandbox in the step, -1 for none.
type received struct{ dir, program, ruleset, pidfd, terminal int }

// receive receives what sendDescriptors has sent. It bypasses the runtime: see RunStep.
func (o *order) receive(socket int) (r received, ok bool) {
	const maxFDs = 5
	one, control := [1]byte{}, [maxFDs + 4]uint64{}
	part := unix.Iovec{Base: &one[0], Len: 1}
	message := unix.Msghdr{Iov: &part, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&control[0]))}
	message.SetControllen(unix.CmsgSpace(4 * maxFDs))
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(socket), uintptr(unsafe.Pointer(&message)), unix.MSG_CMSG_CLOEXEC)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n != 1 || message.Flags&unix.MSG_CTRUNC != 0 {
			return r, false
		}
		break
	}
	head := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	fds := unsafe.Slice((*int32)(unsafe.Add(unsafe.Pointer(&control[0]), unix.CmsgLen(0))), maxFDs)
	fds = fds[:max(0, int(head.Len)-unix.CmsgLen(0))/4]
	next := func(has bool) int {
		if !has || len(fds) == 0 {
			return -1
		}
		fd := int(fds[0])
		fds = fds[1:]
		return fd
	}
	has := func(flag uint32) bool { return o.flags&flag != 0 }
	r = received{next(true), next(true), next(has(restrict)), next(has(enterNamespaces)), next(has(ownTerminal))}
	return r, r.dir >= 0 && r.program >= 0 && r.ruleset >= 0 == has(restrict) && r.pidfd >= 0 == has(enterNamespaces) &&
		r.terminal >= 0 == has(ownTerminal)
}

// The kinds of what a child writes to the status pipe after it is ready.
const (
	failed  = 1 // an operation, and an errno
	entered = 2 // the process ids of an Entered
)

const statusBytes = 12

// readStatus reads what failStep or entry.report has written. It returns io.EOF if all writers have
// closed it.
func readStatus(r io.Reader) (kind, first, second uint32, err error) {
	var b [statusBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		if isGone(err) {
			err = io.EOF
		}
		return 0, 0, 0, err
	}
	return binary.NativeEndian.Uint32(b[:]), binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:]), nil
}

// statusError waits for the exec of the program, or for what failed.
func statusError(r io.Reader) error {
	switch _, op, errno, err := readStatus(r); err {
	case io.EOF: // closed by the exec, or the child was killed, and its exit status is taken like that of any other
		return nil
	case nil:
		return &Error{Op(op), syscall.Errno(errno)}
	default:
		return err
	}
}
