package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/rpc"
)

// Options are the options of Dial. The zero value connects over TCP, sends no token, and does not
// reconnect.
type Options struct {
	// Token is sent as a bearer token (RFC 6750), if not empty.
	Token string
	// TokenSource, if not nil, returns the token in place of Token. It is called for each connection,
	// and from shortly before the credential of a connection expires on, every few seconds: a new
	// token then renews the connection. It must return when the context is done.
	TokenSource func(context.Context) (string, error)
	// TLS is the configuration for wss:// URLs. Nil, and a nil RootCAs, accepts servers that the
	// system trusts. The name of the server is that of the URL, unless ServerName is set.
	TLS *tls.Config
	// Dial makes the connection instead of a TCP dial, for example to a Unix socket.
	Dial func(context.Context) (net.Conn, error)
	// Reconnect, if not nil, makes the client dial again when the connection is lost.
	Reconnect *Reconnect
	// Shutdown, if not nil, is called when the server announces its shutdown.
	Shutdown func(rpc.Shutdown)
	// Raw, if not nil, is called with each notification that belongs to no session, as received.
	// The message is valid until Raw returns.
	Raw func(message []byte)
	// MaxMessageBytes is the size of the largest message to accept from the server; 0 means 4 MiB,
	// and a negative number no limit. A larger message closes the connection.
	MaxMessageBytes int64
}

const (
	defaultMaxMessage = 4 << 20
	readBuffer        = 128 << 10
)

// Client is a client of one server. It has one connection at a time. Its methods may be called
// concurrently.
type Client struct {
	o       Options
	url     string
	done    chan struct{}   // closed when there is no connection and none will be made
	ctx     context.Context // canceled when the client closes
	cancel  context.CancelFunc
	wantRaw atomic.Bool // a session has Events.Raw

	mu       sync.Mutex
	conn     *connection
	changed  chan struct{} // closed when conn is replaced or err is set
	sessions map[string]*Session
	renewal  string // the token of the last Authenticate, or ""
	err      error  // why no connection will be made
}

// Dial connects to the server at url, ws://host:port/ws or wss://…. The context bounds dialing, up
// to the server's first message. After that, the connection fails with a TimeoutError if nothing is
// received for three ping intervals of the server, or nothing can be sent for 30 seconds.
func Dial(ctx context.Context, url string, o Options) (*Client, error) {
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = defaultMaxMessage
	}
	c := &Client{
		o:        o,
		url:      url,
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
		sessions: make(map[string]*Session),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	conn, err := c.dial(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.conn = conn
	go c.maintain(conn)
	return c, nil
}

// Connected returns the server's first message on the newest connection.
func (c *Client) Connected() rpc.Connected {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.connected
}

// Done is closed when the connection is closed and no other one will be made.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close closes the connection with a closing handshake (RFC 6455 §7.1.2), and waits until it is
// closed. What happens to a session then depends on its on_disconnect.
func (c *Client) Close() error { return c.end((*connection).close) }

// Abort closes the connection without a closing handshake.
func (c *Client) Abort() { _ = c.end((*connection).abort) }

func (c *Client) end(closeConn func(*connection) error) error {
	c.cancel()
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	err := closeConn(conn)
	<-c.done
	return err
}

// awaitConnection returns the current connection, and waits for one while the client reconnects.
func (c *Client) awaitConnection(ctx context.Context) (*connection, error) {
	for {
		c.mu.Lock()
		conn, changed, err := c.conn, c.changed, c.err
		c.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClosed, err)
		}
		select {
		case <-conn.done:
		default:
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// currentConnection returns the connection, or nil while there is none.
func (c *Client) currentConnection() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.conn.done:
		return nil
	default:
		return c.conn
	}
}

// Call sends a request, waits for the reply, and decodes its result into result if that is not nil.
// An error reply is returned as an *rpc.Error. If the context ends first, Call returns its error; a
// request that was not sent yet is then removed from the queue, and another one is canceled on the
// server ($/cancelRequest). If the connection is lost before the reply, Call returns ErrClosed,
// with Reconnect too: whether the server has processed the request is unknown.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	conn, err := c.awaitConnection(ctx)
	if err != nil {
		return err
	}
	return conn.call(ctx, method, params, result)
}

// CallIdempotent is Call for requests that the server may process twice. If the client reconnects,
// a request whose connection was lost before the reply is sent again.
func (c *Client) CallIdempotent(ctx context.Context, method string, params, result any) error {
	for {
		conn, err := c.awaitConnection(ctx)
		if err != nil {
			return err
		}
		err = conn.call(ctx, method, params, result)
		if c.o.Reconnect == nil || !errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// Notify sends a notification. It returns when the notification has been written to the connection,
// or the context ends. If the connection is lost, the notification may be lost with it.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	conn, err := c.awaitConnection(ctx)
	if err != nil {
		return err
	}
	return conn.notify(ctx, method, params)
}

// closedError returns why the client is closed, as an ErrClosed.
func (c *Client) closedError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.err)
}

// addSession registers a session, which receives the events of its id from now on.
func (c *Client) addSession(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return fmt.Errorf("%w: %w", ErrClosed, c.err)
	case c.sessions[s.id] != nil:
		return fmt.Errorf("%w: %s", ErrAttached, s.id)
	}
	c.sessions[s.id] = s
	return nil
}

func (c *Client) removeSession(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.id] == s {
		delete(c.sessions, s.id)
	}
}

func (c *Client) session(id []byte) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[string(id)]
}
