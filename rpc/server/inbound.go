package server

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// inputBytes is the size of an input buffer.
const inputBytes = 8 << 10

type inputBuffer [inputBytes]byte

var inputBuffers = sync.Pool{New: func() any { return new(inputBuffer) }}

// inbound is what the peer has sent: bytes that were read ahead, and then those of the socket. It
// borrows an input buffer when there is something to read, and returns it before it waits with none
// left, so an idle connection holds no buffer. One goroutine uses it.
type inbound struct {
	sock *socket
	peer *liveness
	turn *connTurn // left while fill waits; nil outside of a server

	buf  *inputBuffer // nil if it is not borrowed
	r, w int          // buf[r:w] was read ahead

	// The read in progress, kept here so that a read allocates nothing.
	dst      []byte // where it reads to; nil is the rest of buf
	n        int
	err      error
	callback func(fd uintptr) bool // readSome, for raw.Read
	first    [1]byte               // for readSecure
}

// newInbound returns the input of a socket, which begins with bytes that were read from it before:
// at most inputBytes.
func newInbound(sock *socket, peer *liveness, before []byte, turn *connTurn) *inbound {
	in := &inbound{sock: sock, peer: peer, turn: turn}
	in.callback = in.readSome
	if len(before) > 0 {
		in.borrow()
		in.w = copy(in.buf[:], before)
	}
	return in
}

// ahead waits until n bytes are read ahead, at most inputBytes. They are valid until the next call
// of a method other than take.
func (in *inbound) ahead(n int) ([]byte, error) {
	for in.w-in.r < n {
		if in.r+n > inputBytes || in.r == in.w {
			in.compact()
		}
		if err := in.fill(nil); err != nil {
			return nil, err
		}
	}
	return in.buf.from(in.r, n), nil
}

// take removes n bytes that are read ahead. Their memory stays valid until the next call of another
// method.
func (in *inbound) take(n int) { in.r += n }

// read is io.Reader.Read. It reads from the socket directly into b if nothing is read ahead.
func (in *inbound) read(b []byte) (int, error) {
	if in.r < in.w {
		n := copy(b, in.buf[in.r:in.w])
		in.r += n
		return n, nil
	}
	if err := in.fill(b); err != nil {
		return 0, err
	}
	return in.n, nil
}

// release returns the input buffer if nothing is read ahead.
func (in *inbound) release() {
	if in.buf != nil && in.r == in.w {
		inputBuffers.Put(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

func (in *inbound) borrow() {
	if in.buf == nil {
		in.buf = inputBuffers.Get().(*inputBuffer)
	}
}

// compact moves what is read ahead to the beginning of the buffer.
func (in *inbound) compact() {
	if in.buf != nil {
		in.r, in.w = 0, copy(in.buf[:], in.buf[in.r:in.w])
	}
}

// fill waits for the socket and reads once, to dst, or if that is nil to the rest of the buffer. The
// caller has a turn afterwards.
func (in *inbound) fill(dst []byte) error {
	in.dst, in.n, in.err = dst, 0, nil
	in.turn.leave()
	in.peer.begin()
	err := in.wait()
	in.peer.end()
	in.turn.enter()
	in.dst = nil
	if err == nil {
		err = in.err
	}
	if err == nil && dst == nil {
		in.w += in.n
	}
	return err
}

func (in *inbound) wait() error {
	if in.sock.secure != nil {
		return in.readSecure()
	}
	if in.sock.raw != nil {
		return in.sock.raw.Read(in.callback)
	}
	n, err := in.sock.Conn.Read(in.room())
	if n > 0 {
		in.n, err = n, nil
	}
	return err
}

// readSecure reads from a TLS connection, which reads from the socket itself and does not say when it
// waits. So without an input buffer, as between two messages, it first reads one byte.
func (in *inbound) readSecure() error {
	b := in.first[:]
	if in.release(); in.dst != nil || in.buf != nil {
		b = in.room()
	}
	n, err := in.sock.secure.Read(b)
	if n == 0 {
		return err
	}
	if in.dst == nil && in.buf == nil {
		copy(in.room(), in.first[:])
	}
	in.n = n
	return nil
}

// room returns where the read in progress reads to.
func (in *inbound) room() []byte {
	if in.dst != nil {
		return in.dst
	}
	in.borrow()
	return in.buf[in.w:]
}

// readSome is the function that raw.Read calls at once, and again each time the socket is readable,
// until it returns true.
func (in *inbound) readSome(fd uintptr) bool {
	begun := in.turn.now()
	n, err := syscall.Read(int(fd), in.room())
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), in.room())
	}
	in.turn.spent(begun)
	switch {
	case err == syscall.EAGAIN:
		in.release()
		return false
	case err != nil:
		in.err = os.NewSyscallError("read", err)
	case n == 0:
		in.err = io.EOF
	default:
		in.n = n
	}
	return true
}

// from returns n bytes of a buffer, which may be nil if n is 0.
func (b *inputBuffer) from(at, n int) []byte {
	if b == nil {
		return nil
	}
	return b[at : at+n]
}
