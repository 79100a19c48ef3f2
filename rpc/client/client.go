package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// Options say how to connect. The zero value connects over TCP, shows no token, and ends with its connection.
type Options struct {
	// Token is shown to the server as a bearer token, if not empty.
	Token string
	// Dial makes the connection in place of a TCP one, for a Unix socket say.
	Dial func(context.Context) (net.Conn, error)
	// Reconnect, if not nil, dials again when the connection drops, and attaches to the sessions again.
	Reconnect *Reconnect
	// Shutdown, if not nil, is called when the server announces its shutdown.
	Shutdown func(rpc.Shutdown)
	// Raw, if not nil, is called with every notification that belongs to no session, as it came. The text is
	// valid until it returns.
	Raw func(message []byte)
	// MaxMessageBytes bounds what is taken from the server; 0 means 4 MiB.
	MaxMessageBytes int64
}

const (
	defaultMaxMessage = 4 << 20
	readBuffer        = 128 << 10
)

var (
	// ErrClosed is the cause of every error that comes of a connection that is over.
	ErrClosed = errors.New("connection closed")
	// ErrDetached is how a session ends for a client that follows it no more.
	ErrDetached = errors.New("detached")
	// ErrFollowed says that the client follows a session of that id already.
	ErrFollowed = errors.New("the session is followed by this client already")
)

// TooLargeError says that a message is larger than the server takes. It was not sent.
type TooLargeError struct{ Size, Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a message of %d bytes: the server takes %d at most", e.Size, e.Limit)
}

// RefusedError is what a server said in place of the upgrade.
type RefusedError struct {
	Status int
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server refused the connection: %d %s: %s", e.Status, http.StatusText(e.Status), e.Reason)
}

// Client is a connection to a server, or one after the other. Its methods may be called concurrently. Events of
// its sessions are told in order.
type Client struct {
	o    Options
	url  string
	done chan struct{} // closed when there will be no connection any more
	stop context.CancelFunc
	over context.Context // done when the client is to end
	raw  atomic.Bool     // a session wants its notifications as they come

	mu       sync.Mutex
	link     *link
	changed  chan struct{} // closed when link is another one, or err is set
	sessions map[string]*Session
	err      error // why there will be no connection any more
}

// Dial connects to the server at url, ws://host:port/ws or wss://. The context bounds the dialing, up to the server's
// first message. From then on a connection ends with a SilentError when nothing is received on it for three ping
// intervals of the server, or nothing can be sent for 30 seconds.
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
	c.over, c.stop = context.WithCancel(context.Background())
	l, err := c.dial(ctx)
	if err != nil {
		c.stop()
		return nil, err
	}
	c.link = l
	go c.keep(l)
	return c, nil
}

// Connected is what the server said first, on the newest connection.
func (c *Client) Connected() rpc.Connected {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link.connected
}

// Done is closed when the connection is over and no other will be made.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and waits until it is over. The policy of each session says what becomes of it.
func (c *Client) Close() error { return c.end((*link).close) }

// Abort ends the connection without a word to the server.
func (c *Client) Abort() { _ = c.end((*link).abort) }

func (c *Client) end(how func(*link) error) error {
	c.stop()
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	err := how(l)
	<-c.done
	return err
}

// current is the connection to use, once there is one.
func (c *Client) current(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, changed, err := c.link, c.changed, c.err
		c.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClosed, err)
		}
		select {
		case <-l.done:
		default:
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// alive is the connection where there is one now.
func (c *Client) alive() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.link.done:
		return nil
	default:
		return c.link
	}
}

// Call sends a request and waits for its result, which is decoded into result if that is not nil. An error
// that the server answers is an *rpc.Error. It returns when the context ends, also where the connection takes nothing
// more; then the request is taken back if it was not sent yet, else canceled on the server. If the connection drops
// before the answer it is not known whether the request was carried out: the error is ErrClosed, also where the
// client reconnects.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	l, err := c.current(ctx)
	if err != nil {
		return err
	}
	return l.call(ctx, method, params, result)
}

// CallAgain is Call for what may be asked twice: where the client reconnects, and the connection dropped before the
// answer, it asks again.
func (c *Client) CallAgain(ctx context.Context, method string, params, result any) error {
	for {
		l, err := c.current(ctx)
		if err != nil {
			return err
		}
		err = l.call(ctx, method, params, result)
		if c.o.Reconnect == nil || !errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// Notify sends a notification, which is not answered, and may be lost with the connection. It returns when the
// notification was written to the connection, or the context ends.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	l, err := c.current(ctx)
	if err != nil {
		return err
	}
	return l.notify(ctx, method, params)
}

// failure is why the client is over.
func (c *Client) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.err)
}

// follow adds a session whose events are to be told.
func (c *Client) follow(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return fmt.Errorf("%w: %w", ErrClosed, c.err)
	case c.sessions[s.id] != nil:
		return fmt.Errorf("%w: %s", ErrFollowed, s.id)
	}
	c.sessions[s.id] = s
	return nil
}

func (c *Client) forget(s *Session) {
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

// refused explains why a dial failed, without the libraries' words about where they noticed.
func refused(err error, resp *http.Response) error {
	var op *net.OpError
	switch {
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
		_ = resp.Body.Close()
		return &RefusedError{Status: resp.StatusCode, Reason: strings.TrimSpace(string(reason))}
	case errors.As(err, &op):
		return op
	}
	return err
}

// lost is what ended a connection, without the library's words about where it noticed.
func lost(err error) error {
	var said websocket.CloseError
	var op *net.OpError
	var silent *SilentError
	switch {
	case errors.As(err, &silent):
		return silent
	case errors.As(err, &said):
		return fmt.Errorf("the server closed it: %d %s: %w", said.Code, said.Reason, err)
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}
