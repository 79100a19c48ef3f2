package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// closeFrameTimeout is how long the connection is read for the server's close frame after a write
// has failed.
const closeFrameTimeout = time.Second

// connection is one WebSocket connection of a client. One goroutine reads it, and the outbox's
// writes to it.
type connection struct {
	c         *Client
	netConn   *libraryConn // given to ws
	ws        *websocket.Conn
	outbox    *outbox
	calls     pendingCalls
	transport *http.Transport
	buf       []byte        // the message that was read last
	ready     chan struct{} // closed when connected was received
	connected rpc.Connected
	done      chan struct{} // closed when the reader has returned
	writeDone chan struct{} // closed when the outbox has returned

	ctx     context.Context // canceled when the connection is closed, or the client closes
	cancel  context.CancelFunc
	renewed chan struct{} // closed when keepAuthenticated has returned

	mu    sync.Mutex
	token string // that the server has accepted last
	cause error  // why the connection is closed; set before done is closed
}

// dial makes a connection and waits for the server's first message.
func (c *Client) dial(ctx context.Context) (*connection, error) {
	conn := &connection{
		c:         c,
		ready:     make(chan struct{}),
		done:      make(chan struct{}),
		writeDone: make(chan struct{}),
		renewed:   make(chan struct{}),
	}
	conn.ctx, conn.cancel = context.WithCancel(c.ctx)
	conn.transport = &http.Transport{
		ReadBufferSize: readBuffer,
		DialContext:    conn.dialPlain,
		DialTLSContext: conn.dialTLS,
	}
	header := http.Header{}
	token, err := c.token(ctx)
	if err != nil {
		conn.cancel()
		return nil, err
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	conn.token = token
	ws, resp, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: conn.transport},
		HTTPHeader:   header,
		Subprotocols: []string{"runnel.v1"},
	})
	if err != nil {
		conn.cancel()
		conn.transport.CloseIdleConnections()
		return nil, dialError(err, resp)
	}
	ws.SetReadLimit(c.o.MaxMessageBytes)
	conn.ws, conn.outbox = ws, newOutbox(conn.netConn.Conn)
	if conn.netConn.Conn == net.Conn(conn.netConn.socket) && conn.netConn.socket.raw != nil { // no TLS between
		conn.outbox.tryWrite = conn.netConn.socket.tryWrite
	}
	conn.netConn.outbox.Store(conn.outbox)
	go conn.write()
	go conn.read()
	go conn.keepAuthenticated()
	select {
	case <-conn.ready:
		return conn, nil
	case <-conn.done:
		if conn.isReady() { // it has ended since, and why decides whether the client reconnects
			return conn, nil
		}
		err = conn.closedError()
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = conn.abort()
	return nil, err
}

// isReady reports whether connected was received.
func (conn *connection) isReady() bool {
	select {
	case <-conn.ready:
		return true
	default:
		return false
	}
}

// dialPlain makes the connection for ws://.
func (conn *connection) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	dial := conn.c.o.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}
	}
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	s := newSocket(c)
	conn.netConn = &libraryConn{Conn: s, socket: s}
	return conn.netConn, nil
}

// dialTLS makes the connection for wss://. TLS is above the socket, whose timeouts thus apply to
// all bytes.
func (conn *connection) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := conn.dialPlain(ctx, network, address); err != nil {
		return nil, err
	}
	secure := tls.Client(conn.netConn.socket, conn.c.tlsConfig(address))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.netConn.socket.Close()
		return nil, err
	}
	conn.netConn.Conn = secure
	return conn.netConn, nil
}

// tlsConfig returns the configuration for a server at an address.
func (c *Client) tlsConfig(address string) *tls.Config {
	config := &tls.Config{}
	if c.o.TLS != nil {
		config = c.o.TLS.Clone()
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		config.ServerName = host
	}
	config.NextProtos = []string{"http/1.1"} // a WebSocket is an upgrade of it (RFC 6455 §4.1)
	return config
}

// startTimeouts sets the receive timeout and the ping interval. It is called by the goroutine that
// reads.
func (conn *connection) startTimeouts() {
	timeout, ping := receiveTimeout(conn.connected.Limits.PingInterval)
	conn.netConn.socket.timeout = timeout
	if ping > 0 {
		conn.outbox.startPings(ping)
	}
}

// write runs the outbox until the connection is closed.
func (conn *connection) write() {
	defer close(conn.writeDone)
	err := conn.outbox.run(conn.done)
	var timeout *TimeoutError
	if err != nil && !errors.As(err, &timeout) { // the server has closed the connection: read its reason
		select {
		case <-conn.done:
		case <-time.After(closeFrameTimeout):
		}
	}
	if err != nil {
		conn.fail(err)
	}
}

// fail closes the connection because of an error.
func (conn *connection) fail(cause error) {
	conn.mu.Lock()
	if conn.cause == nil {
		conn.cause = cause
	}
	conn.mu.Unlock()
	_ = conn.netConn.socket.Close()
}

// close performs the closing handshake and waits until the reader has returned.
func (conn *connection) close() error {
	_ = conn.ws.Close(websocket.StatusNormalClosure, "")
	<-conn.done
	conn.release()
	return nil
}

func (conn *connection) abort() error {
	_ = conn.netConn.socket.Close()
	<-conn.done
	conn.release()
	return nil
}

// release releases the resources of a connection that is not read any more.
func (conn *connection) release() {
	_ = conn.netConn.socket.Close()
	_ = conn.ws.CloseNow()
	conn.transport.CloseIdleConnections()
	<-conn.writeDone
	<-conn.renewed
}

// call is [Client.Call] on this connection.
func (conn *connection) call(ctx context.Context, method string, params, result any) error {
	return conn.callThen(ctx, method, params, result, nil)
}

// callThen is call, with a function that the goroutine that reads calls when it has received a result, before
// it reads on. It must not block.
func (conn *connection) callThen(ctx context.Context, method string, params, result any, accepted func()) error {
	id := uuid.NewString()
	m, err := conn.encode(method, id, params)
	if err != nil {
		return err
	}
	received := conn.calls.add(id, accepted)
	defer conn.calls.remove(id)
	if err := conn.outbox.send(ctx, m); err != nil {
		return conn.sendError(ctx, err)
	}
	select {
	case r := <-received:
		return r.decode(result)
	case <-conn.done:
	case <-ctx.Done():
		conn.cancelCall(id, m)
		return ctx.Err()
	}
	select {
	case r := <-received: // the last message before the connection was closed
		return r.decode(result)
	default:
		return conn.closedError()
	}
}

// cancelCall withdraws the request of a call, or cancels it on the server if it may have been sent.
func (conn *connection) cancelCall(id string, m *outgoing) {
	if !conn.outbox.withdraw(m) {
		conn.post(rpc.MethodCancelRequest, map[string]string{"id": id})
	}
}

// notify is [Client.Notify] on this connection.
func (conn *connection) notify(ctx context.Context, method string, params any) error {
	m, err := conn.encode(method, "", params)
	if err != nil {
		return err
	}
	m.written = make(chan struct{})
	if err := conn.outbox.send(ctx, m); err != nil {
		return conn.sendError(ctx, err)
	}
	select {
	case <-m.written:
		return nil
	case <-conn.done:
		return conn.closedError()
	case <-ctx.Done():
		conn.outbox.withdraw(m)
		return ctx.Err()
	}
}

// post queues a notification without waiting. It is dropped if the queue has no room for it.
func (conn *connection) post(method string, params any) {
	if m, err := conn.encode(method, "", params); err == nil {
		conn.outbox.post(m)
	}
}

// sendError returns the error of a send. If the outbox is closed, it waits for the connection's
// error.
func (conn *connection) sendError(ctx context.Context, err error) error {
	if !errors.Is(err, errOutboxClosed) {
		return err
	}
	select {
	case <-conn.done:
		return conn.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closedError returns why the connection is closed, as an ErrClosed. It may be called once done is
// closed.
func (conn *connection) closedError() error {
	return fmt.Errorf("%w: %w", ErrClosed, closeReason(conn.cause))
}
