package server

import (
	"net"
	"sync"
	"time"
)

// controlFrameBytes is the size of the largest control frame (RFC 6455 §5.5), so that each is one
// write.
const controlFrameBytes = 2 + 125

// libraryConn is the connection that the WebSocket library gets. The library reads from the socket
// through it. What it writes are control frames, which go to the control queue: otherwise it would
// wait for the socket while the outbox is blocked, and close the connection of a peer that is
// merely slow. Close does not close the socket; the outbox does, after its last write.
type libraryConn struct {
	*socket
	outbox *outbox
	idle   time.Duration // the longest time in which the peer neither sends nor reads
	peer   *liveness     // set by start

	once   sync.Once
	closed chan struct{}
}

func newLibraryConn(o *outbox, idle time.Duration) *libraryConn {
	return &libraryConn{socket: o.sock, outbox: o, idle: idle, closed: make(chan struct{})}
}

func (c *libraryConn) Read(b []byte) (int, error) {
	if isDone(c.closed) {
		return 0, net.ErrClosed
	}
	return c.peer.read(b)
}

// start starts to watch the peer, until Close.
func (c *libraryConn) start() {
	_ = c.Conn.SetDeadline(time.Time{})
	c.peer = c.watch(c.idle)
}

func (c *libraryConn) Write(b []byte) (int, error) {
	if !c.outbox.sendFrame(checkedEcho(append([]byte(nil), b...))) {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

// Close ends the watching and the reading.
func (c *libraryConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.peer.Stop()
	})
	return nil
}
