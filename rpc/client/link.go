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

// lastWords is how long the server's last words are read for when nothing can be sent any more.
const lastWords = time.Second

// link is one WebSocket of a client. One goroutine reads, and one, the outbox's, writes.
type link struct {
	c         *Client
	conn      *conn // what ws has for its connection
	ws        *websocket.Conn
	outbox    *outbox
	calls     calls
	transport *http.Transport
	buf       []byte        // what was read
	hello     chan struct{} // closed when connected has come
	connected rpc.Connected
	done      chan struct{} // closed when nothing is read any more
	sent      chan struct{} // closed when nothing is sent any more

	mu    sync.Mutex
	cause error // why it is over; set once done
}

// dial makes a connection and waits for the server's first word.
func (c *Client) dial(ctx context.Context) (*link, error) {
	l := &link{
		c:     c,
		hello: make(chan struct{}),
		done:  make(chan struct{}),
		sent:  make(chan struct{}),
	}
	l.transport = &http.Transport{ReadBufferSize: readBuffer, DialContext: l.dialPlain, DialTLSContext: l.dialTLS}
	header := http.Header{}
	if c.o.Token != "" {
		header.Set("Authorization", "Bearer "+c.o.Token)
	}
	ws, resp, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: l.transport},
		HTTPHeader:   header,
		Subprotocols: []string{"runnel.v1"},
	})
	if err != nil {
		l.transport.CloseIdleConnections()
		return nil, refused(err, resp)
	}
	ws.SetReadLimit(c.o.MaxMessageBytes)
	l.ws, l.outbox = ws, newOutbox(l.conn.Conn)
	if l.conn.Conn == net.Conn(l.conn.socket) && l.conn.socket.raw != nil { // no TLS between
		l.outbox.try = l.conn.socket.try
	}
	l.conn.outbox.Store(l.outbox)
	go l.write()
	go l.read()
	select {
	case <-l.hello:
		return l, nil
	case <-l.done:
		err = l.failure()
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = l.abort()
	return nil, err
}

// dialPlain makes the connection of ws://.
func (l *link) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	dial := l.c.o.Dial
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
	l.conn = &conn{Conn: s, socket: s}
	return l.conn, nil
}

// dialTLS makes the connection of wss://. TLS is above the socket, which sees every byte.
func (l *link) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := l.dialPlain(ctx, network, address); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	secure := tls.Client(l.conn.socket, &tls.Config{ServerName: host})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = l.conn.socket.Close()
		return nil, err
	}
	l.conn.Conn = secure
	return l.conn, nil
}

// watch has the connection end when the server falls silent. It is called by the goroutine that reads.
func (l *link) watch() {
	limit, ping := silence(l.connected.Limits.PingInterval)
	l.conn.socket.limit = limit
	if ping > 0 {
		l.outbox.pingEvery(ping)
	}
}

// write writes what is sent until the connection is over.
func (l *link) write() {
	defer close(l.sent)
	err := l.outbox.run(l.done)
	var silent *SilentError
	if err != nil && !errors.As(err, &silent) { // the server hung up, and may have said why
		select {
		case <-l.done:
		case <-time.After(lastWords):
		}
	}
	if err != nil {
		l.cut(err)
	}
}

// cut ends the connection.
func (l *link) cut(cause error) {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = cause
	}
	l.mu.Unlock()
	_ = l.conn.socket.Close()
}

// close says goodbye and waits until nothing more is read.
func (l *link) close() error {
	_ = l.ws.Close(websocket.StatusNormalClosure, "")
	<-l.done
	l.shut()
	return nil
}

func (l *link) abort() error {
	_ = l.conn.socket.Close()
	<-l.done
	l.shut()
	return nil
}

// shut releases what a connection holds that is over.
func (l *link) shut() {
	_ = l.conn.socket.Close()
	_ = l.ws.CloseNow()
	l.transport.CloseIdleConnections()
	<-l.sent
}

// call is [Client.Call] on this connection.
func (l *link) call(ctx context.Context, method string, params, result any) error {
	id := uuid.NewString()
	m, err := l.encode(method, id, params)
	if err != nil {
		return err
	}
	answer := l.calls.expect(id)
	defer l.calls.forget(id)
	if err := l.outbox.send(ctx, m); err != nil {
		return l.explain(ctx, err)
	}
	select {
	case r := <-answer:
		return r.decode(result)
	case <-l.done:
	case <-ctx.Done():
		if !l.outbox.withdraw(m) {
			l.post(rpc.MethodCancelRequest, map[string]string{"id": id})
		}
		return ctx.Err()
	}
	select {
	case r := <-answer: // it was the last that came
		return r.decode(result)
	default:
		return l.failure()
	}
}

// notify is [Client.Notify] on this connection.
func (l *link) notify(ctx context.Context, method string, params any) error {
	m, err := l.encode(method, "", params)
	if err != nil {
		return err
	}
	m.written = make(chan struct{})
	if err := l.outbox.send(ctx, m); err != nil {
		return l.explain(ctx, err)
	}
	select {
	case <-m.written:
		return nil
	case <-l.done:
		return l.failure()
	case <-ctx.Done():
		l.outbox.withdraw(m)
		return ctx.Err()
	}
}

// post sends a notification without waiting for anything.
func (l *link) post(method string, params any) {
	if m, err := l.encode(method, "", params); err == nil {
		l.outbox.post(m)
	}
}

// explain says why a connection is over that takes nothing more to send, once that is known.
func (l *link) explain(ctx context.Context, err error) error {
	if !errors.Is(err, errOver) {
		return err
	}
	select {
	case <-l.done:
		return l.failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failure is why the connection is over.
func (l *link) failure() error { return fmt.Errorf("%w: %w", ErrClosed, lost(l.cause)) }
