package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap/holder"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// maxRights is how many descriptors a holder sends.
const maxRights = 3

var (
	errUnexpected = errors.New("unexpected message")
	errExited     = errors.New("bwrap has exited")
)

// receive waits for the reply of the holder and takes its descriptors.
func (s *starter) receive(ctx context.Context, n *Namespaces) error {
	message, rights, err := receiveMessage(ctx, n.socket)
	if err != nil {
		closeAll(rights)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &Error{Step: stepMake, Err: err}
	}
	reply, ok := holder.ParseReply(message)
	if ok && reply.Step != holder.Done {
		closeAll(rights)
		return &Error{Step: stepHolder, Err: fmt.Errorf("%v: %w", reply.Step, syscall.Errno(reply.Errno))}
	}
	want := 2
	if s.config.Sandbox.Network.Mode == sandbox.AllowList {
		want++
	}
	if !ok || len(rights) != want {
		closeAll(rights)
		return &Error{Step: stepHolder, Err: errUnexpected}
	}
	n.PIDFD, n.root = rights[0], root(rights[1])
	if want == 3 {
		file := os.NewFile(uintptr(rights[2]), "listener")
		defer file.Close()
		if n.Listener, err = net.FileListener(file); err != nil {
			return &Error{Step: stepListen, Err: err}
		}
	}
	return nil
}

// receiveMessage receives one message. The end of ctx and that of bwrap end the wait. The error is nil only for a
// complete message; its descriptors are valid after an error, too.
func receiveMessage(ctx context.Context, socket *os.File) (message []byte, rights []int, err error) {
	conn, err := socket.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })()
	data, control := make([]byte, 64), make([]byte, unix.CmsgSpace(maxRights*int(unsafe.Sizeof(int32(0)))))
	var size, controlSize, flags int
	var failed error
	receive := func(fd uintptr) bool {
		size, controlSize, flags, _, failed = unix.Recvmsg(int(fd), data, control, unix.MSG_CMSG_CLOEXEC)
		return failed != unix.EAGAIN && failed != unix.EINTR
	}
	err = conn.Read(receive)
	if errors.Is(err, os.ErrDeadlineExceeded) { // the message may have been sent before
		if err = conn.Control(func(fd uintptr) { receive(fd) }); err == nil && failed == unix.EAGAIN {
			err = errExited // see Namespaces.reap
		}
	}
	switch {
	case err != nil:
		return nil, nil, err
	case failed != nil:
		return nil, nil, failed
	}
	rights = parseRights(control[:controlSize])
	switch {
	case size == 0 && len(rights) == 0:
		return nil, nil, errExited
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return nil, rights, errUnexpected
	}
	return data[:size], rights, nil
}

func parseRights(control []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for i := range messages {
		if more, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, more...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// encodeFilter is the format of --seccomp: an array of struct sock_filter.
func encodeFilter(filter []unix.SockFilter) []byte {
	size := len(filter) * int(unsafe.Sizeof(filter[0]))
	return unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), size)
}
