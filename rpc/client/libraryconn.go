package client

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"
)

// closeFlush is how long Close waits for queued messages to be written.
const closeFlush = time.Second

// libraryConn is the net.Conn that the WebSocket library gets. The library reads from it. Its
// writes after the upgrade are control frames (pong, close) and go into the outbox: if the library
// wrote them itself, it would wait for the socket, and close a connection that accepts nothing for
// 5 s.
type libraryConn struct {
	net.Conn // the socket, or TLS above it
	socket   *socket
	outbox   atomic.Pointer[outbox] // nil until the upgrade is complete
}

func (c *libraryConn) Write(b []byte) (int, error) {
	o := c.outbox.Load()
	if o == nil {
		return c.Conn.Write(b)
	}
	if err := o.control(bytes.Clone(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close flushes the outbox and closes the connection.
func (c *libraryConn) Close() error {
	if o := c.outbox.Load(); o != nil {
		o.flush(closeFlush)
	}
	return c.Conn.Close()
}
