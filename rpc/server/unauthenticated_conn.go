package server

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// refusedTime is how long a connection that is refused stays open, and nothing more of it is read. So
// the peer can read the answer, and a peer that waits for the end connects again later. If another
// connection needs its place, it is closed before.
const refusedTime = time.Second

// The reasons for which a connection without a complete request is refused.
const (
	refusedNoHTTP = "no HTTP"
	refusedUnread = "more data than is read"
)

// unauthenticatedConn is a connection that net/http serves, until it is a WebSocket. One that sends
// no HTTP, or more than the server reads, ends here: net/http would keep its goroutine and its memory
// for half a second, also after the connection is closed.
type unauthenticatedConn struct {
	net.Conn // of the kernel, or a *tls.Conn
	refusals *refusals
	peer     refusedPeer
	key      refusedPeer // of peer
	own      bool        // of a process of the server's user

	begun    bool        // something was read
	judged   bool        // answer is for the present request; used by the goroutine of net/http
	answer   bool        // false if the peer is refused too often
	answered func()      // called once the answer to the present request is sent, if not nil; used by that goroutine
	hijacked atomic.Bool // net/http does not serve it any more
	counted  atomic.Bool // as refused, after which it is closed

	// closeFirst is set while the connection is only kept open, or its handshake is delayed.
	closeFirst atomic.Bool
}

// newUnauthenticatedConn returns an accepted connection, c, which may have got TLS.
func newUnauthenticatedConn(c net.Conn, list *unauthenticated) *unauthenticatedConn {
	u := &unauthenticatedConn{Conn: c, refusals: list.refusals}
	u.peer, u.own = peerOfConn(kernelConn(c))
	u.key = u.peer.key()
	return u
}

// peerOfConn returns the peer of a connection, and whether it is a process of the server's user.
func peerOfConn(c net.Conn) (peer refusedPeer, own bool) {
	switch c := c.(type) {
	case *net.UnixConn:
		p := unixPeer(c)
		if !p.Known {
			return refusedPeer{unix: true, uid: -1}, false
		}
		return refusedPeer{unix: true, uid: p.UID}, p.UID == os.Geteuid()
	case *net.TCPConn:
		if at, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			return refusedPeer{address: at.AddrPort().Addr().Unmap()}, false
		}
	}
	return refusedPeer{address: addressOf(c.RemoteAddr().String())}, false
}

func (c *unauthenticatedConn) base() *unauthenticatedConn { return c }

// Read implements io.Reader, for net/http.
func (c *unauthenticatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.begun {
		c.begun = true
		if !isLetter(b[0]) && !c.judge(c.refuse(refusedNoHTTP, "")) { // else net/http answers
			c.hold()
			return 0, io.EOF
		}
	}
	return n, err
}

// isLetter reports whether a registered method can begin with b (RFC 9110 §16.1.1): the server answers
// no other one.
func isLetter(b byte) bool { return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' }

// CloseWrite is called by net/http, in the goroutine of the connection, after the answer to a request
// of which it has not read everything. It does not return: net/http would sleep then. Its deferred
// functions close the connection.
func (c *unauthenticatedConn) CloseWrite() error {
	if c.hijacked.Load() {
		return closeWrite(c.Conn)
	}
	if c.judged && c.answer || !c.judged && c.refuse(refusedUnread, "") {
		_ = closeWrite(c.Conn)
	}
	c.hold()
	runtime.Goexit()
	return nil
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// judge records whether the request is answered: it is refused and counted, or its caller is known.
// It returns answer.
func (c *unauthenticatedConn) judge(answer bool) bool {
	c.judged, c.answer = true, answer
	if !answer {
		c.counted.Store(true)
	}
	return answer
}

// endAnswer calls answered.
func (c *unauthenticatedConn) endAnswer() {
	if c.answered != nil {
		c.answered()
		c.answered = nil
	}
}

// refuse counts a refusal, after which the connection is closed, once. It returns false if the peer is
// refused more often than it is answered.
func (c *unauthenticatedConn) refuse(why, detail string) (answer bool) {
	if c.counted.Swap(true) {
		return false
	}
	return c.refusals.refuse(c.peer, c.RemoteAddr().String(), &access.Refusal{Reason: why, Detail: detail})
}

// hold keeps a connection that is refused open for refusedTime, or until it is closed.
func (c *unauthenticatedConn) hold() {
	c.closeFirst.Store(true)
	kernel := kernelConn(c.Conn)
	if sc, ok := kernel.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = kernel.SetReadDeadline(time.Now().Add(refusedTime))
			_ = raw.Read(func(uintptr) bool { return false }) // until the deadline
		}
	}
	c.abort()
}

// abort closes a connection by RST, so that the kernel keeps no state for a peer that does not close.
// TLS is not closed: that may wait for the peer.
func (c *unauthenticatedConn) abort() {
	kernel := kernelConn(c.Conn)
	if tcp, ok := kernel.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = kernel.Close()
}
