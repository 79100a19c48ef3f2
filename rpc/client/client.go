package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/rpc"
)

// Options say how to connect. The zero value connects over TCP and shows no token.
type Options struct {
	// Token is shown to the server as a bearer token, if not empty.
	Token string
	// Dial makes the connection in place of a TCP one, for a Unix socket say.
	Dial func(context.Context) (net.Conn, error)
	// Shutdown, if not nil, is called when the server announces its shutdown.
	Shutdown func(rpc.Shutdown)
	// Raw, if not nil, is called with every notification as it came, before all else is. The text is valid
	// until it returns.
	Raw func(message []byte)
	// MaxMessageBytes bounds what is taken from the server; 0 means 4 MiB.
	MaxMessageBytes int64
}

const (
	defaultMaxMessage = 4 << 20
	readBuffer        = 128 << 10
)

// ErrClosed is the cause of every error that comes of a connection that is over.
var ErrClosed = errors.New("connection closed")

// ErrFollowed says that the client follows a session of that id already.
var ErrFollowed = errors.New("the session is followed by this client already")

// TooLargeError says that a message is larger than the server takes. It was not sent.
type TooLargeError struct{ Size, Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a message of %d bytes: the server takes %d at most", e.Size, e.Limit)
}

// Client is one connection to a server. Its methods may be called concurrently. Events of its sessions are
// told in order, from the one goroutine that reads: while it is held up, the server and in the end the
// process are, and no reply arrives.
type Client struct {
	o         Options
	ws        *websocket.Conn
	rpc       *jsonrpc2.Conn
	transport *http.Transport
	hello     chan struct{} // closed when connected has come
	connected rpc.Connected
	done      chan struct{} // closed when nothing is read any more

	mu       sync.Mutex
	sessions map[string]*Session
	err      error // why the connection is over
}

// Dial connects to the server at url, ws://host:port/ws. The context bounds the dialing alone.
func Dial(ctx context.Context, url string, o Options) (*Client, error) {
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = defaultMaxMessage
	}
	transport := &http.Transport{ReadBufferSize: readBuffer}
	if o.Dial != nil {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return o.Dial(ctx) }
	}
	header := http.Header{}
	if o.Token != "" {
		header.Set("Authorization", "Bearer "+o.Token)
	}
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		HTTPHeader:   header,
		Subprotocols: []string{"runnel.v1"},
	})
	if err != nil {
		return nil, refused(err, resp)
	}
	ws.SetReadLimit(o.MaxMessageBytes)
	c := &Client{
		o:         o,
		ws:        ws,
		transport: transport,
		hello:     make(chan struct{}),
		done:      make(chan struct{}),
		sessions:  make(map[string]*Session),
	}
	w := &wire{c: c}
	c.rpc = jsonrpc2.NewConn(context.Background(), w, deaf{}, jsonrpc2.SetLogger(deaf{}), jsonrpc2.OnSend(w.sending))
	select {
	case <-c.hello:
		return c, nil
	case <-c.done:
		err = c.failure()
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = c.Close()
	return nil, err
}

// RefusedError is what a server said in place of the upgrade.
type RefusedError struct {
	Status int
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server refused the connection: %d %s: %s", e.Status, http.StatusText(e.Status), e.Reason)
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

// Connected is what the server said first.
func (c *Client) Connected() rpc.Connected { return c.connected }

// Done is closed when the connection is over.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and waits until it is over. The server's policy says what becomes of its
// sessions.
func (c *Client) Close() error {
	_ = c.ws.Close(websocket.StatusNormalClosure, "")
	err := c.rpc.Close()
	<-c.done
	c.transport.CloseIdleConnections()
	if errors.Is(err, jsonrpc2.ErrClosed) {
		return nil
	}
	return err
}

// Abort ends the connection without a word to the server.
func (c *Client) Abort() {
	_ = c.ws.CloseNow()
	<-c.done
	c.transport.CloseIdleConnections()
}

// Call sends a request and waits for its result, which is decoded into result if that is not nil. An error
// that the server answers is an *rpc.Error. A context that ends cancels the request on the server.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	id := jsonrpc2.ID{Str: uuid.NewString(), IsString: true}
	waiter, err := c.rpc.DispatchCall(ctx, method, params, jsonrpc2.PickID(id))
	if err != nil {
		return c.explain(err)
	}
	err = waiter.Wait(ctx, result)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		_ = c.Notify(context.WithoutCancel(ctx), rpc.MethodCancelRequest, map[string]string{"id": id.Str})
	}
	return c.explain(err)
}

// Notify sends a notification, which is not answered.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	return c.explain(c.rpc.Notify(ctx, method, params))
}

// explain makes an *rpc.Error of an error that the server answered, and says why a connection is over.
func (c *Client) explain(err error) error {
	var e *jsonrpc2.Error
	switch {
	case errors.As(err, &e):
		out := &rpc.Error{Code: int(e.Code), Message: e.Message}
		if e.Data != nil {
			var d rpc.Data
			if json.Unmarshal(*e.Data, &d) == nil {
				out.Data = d
			}
		}
		return out
	case errors.Is(err, jsonrpc2.ErrClosed):
		return c.failure()
	case errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

func (c *Client) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, lost(c.err))
}

// lost is what ended a connection, without the library's words about where it noticed.
func lost(err error) error {
	var said websocket.CloseError
	var op *net.OpError
	switch {
	case errors.As(err, &said):
		return fmt.Errorf("the server closed it: %d %s: %w", said.Code, said.Reason, err)
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// over notes why the connection ended and tells the sessions.
func (c *Client) over(err error) {
	c.mu.Lock()
	c.err = err
	sessions := c.sessions
	c.sessions = nil
	c.mu.Unlock()
	close(c.done)
	for _, s := range sessions {
		s.lost()
	}
}

func (c *Client) session(id []byte) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[string(id)]
}

// deaf takes what only a server is told.
type deaf struct{}

func (deaf) Handle(context.Context, *jsonrpc2.Conn, *jsonrpc2.Request) {}
func (deaf) Printf(string, ...any)                                     {}
