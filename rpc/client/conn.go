package client

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"
)

// closeFlush is how long what is queued may take to be written when the connection is closed.
const closeFlush = time.Second

// conn is what the WebSocket library is given as its connection. It reads from it by itself. Its writes go to the
// outbox once there is one. They are control frames: by itself the library would wait for its turn at a socket that
// takes nothing, and close the connection 5 s later.
type conn struct {
	net.Conn // the socket, or TLS above it
	socket   *socket
	outbox   atomic.Pointer[outbox]
}

func (c *conn) Write(b []byte) (int, error) {
	o := c.outbox.Load()
	if o == nil {
		return c.Conn.Write(b)
	}
	if err := o.control(bytes.Clone(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close waits for what is queued.
func (c *conn) Close() error {
	if o := c.outbox.Load(); o != nil {
		o.finish(closeFlush)
	}
	return c.Conn.Close()
}
