package egress

import (
	"bufio"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// link is a connection to a server. It is used by one connection of a client.
type link struct {
	net.Conn // a *net.TCPConn, except in tests
	proxy    *Proxy
	target   target
	addr     netip.Addr
	up, down int64 // bytes; one goroutine adds to each

	responses *bufio.Reader // of HTTP, which reads by linkReader
}

// end closes the connection and records what it has transferred. No other goroutine uses it.
func (l *link) end() {
	if l.responses != nil {
		l.responses.Reset(nil)
		readers.Put(l.responses)
	}
	l.proxy.drop(l.Conn)
	l.proxy.record.disconnected(l.target, l.addr, l.up, l.down)
}

// receive returns the reader of responses.
func (l *link) receive() *bufio.Reader {
	if l.responses == nil {
		l.responses = readers.Get().(*bufio.Reader)
		l.responses.Reset(linkReader{l})
	}
	return l.responses
}

// linkReader counts what it reads.
type linkReader struct{ link *link }

func (r linkReader) Read(b []byte) (int, error) {
	n, err := r.link.Conn.Read(b)
	r.link.down += int64(n)
	return n, err
}

// linkWriter counts what it writes.
type linkWriter struct{ link *link }

func (w linkWriter) Write(b []byte) (int, error) {
	n, err := w.link.Conn.Write(b)
	w.link.up += int64(n)
	return n, err
}

// idle reports whether the connection can be used for another request: the server has neither
// closed it nor sent anything that nobody asked for.
func (l *link) idle() bool {
	if l.responses != nil && l.responses.Buffered() > 0 {
		return false
	}
	conn, ok := l.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var received error
	err = raw.Control(func(fd uintptr) {
		_, _, received = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && received == unix.EAGAIN
}
