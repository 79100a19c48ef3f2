package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/rpc"
)

// link is one WebSocket of a client.
type link struct {
	c         *Client
	ws        *websocket.Conn
	rpc       *jsonrpc2.Conn
	results   results
	transport *http.Transport
	hello     chan struct{} // closed when connected has come
	connected rpc.Connected
	done      chan struct{} // closed when nothing is read any more
	err       error         // why; valid once done
}

// dial makes a connection and waits for the server's first word.
func (c *Client) dial(ctx context.Context) (*link, error) {
	l := &link{
		c:         c,
		transport: &http.Transport{ReadBufferSize: readBuffer},
		hello:     make(chan struct{}),
		done:      make(chan struct{}),
	}
	if c.o.Dial != nil {
		l.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return c.o.Dial(ctx) }
	}
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
	l.ws = ws
	w := &wire{l: l}
	l.rpc = jsonrpc2.NewConn(context.Background(), w, deaf{}, jsonrpc2.SetLogger(deaf{}), jsonrpc2.OnSend(w.sending))
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

// close says goodbye and waits until nothing more is read.
func (l *link) close() error {
	_ = l.ws.Close(websocket.StatusNormalClosure, "")
	err := l.rpc.Close()
	<-l.done
	l.transport.CloseIdleConnections()
	if errors.Is(err, jsonrpc2.ErrClosed) {
		return nil
	}
	return err
}

func (l *link) abort() error {
	_ = l.ws.CloseNow()
	<-l.done
	l.transport.CloseIdleConnections()
	return nil
}

// call is [Client.Call] on this connection.
func (l *link) call(ctx context.Context, method string, params, result any) error {
	id := jsonrpc2.ID{Str: uuid.NewString(), IsString: true}
	l.results.expect(id.Str)
	defer l.results.forget(id.Str)
	waiter, err := l.rpc.DispatchCall(ctx, method, params, jsonrpc2.PickID(id))
	if err != nil {
		return l.explain(err)
	}
	var plain json.RawMessage // of a reply that was not kept
	err = waiter.Wait(ctx, &plain)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		_ = l.rpc.Notify(context.WithoutCancel(ctx), rpc.MethodCancelRequest, map[string]string{"id": id.Str})
	}
	if err != nil || result == nil {
		return l.explain(err)
	}
	if kept := l.results.forget(id.Str); kept != nil {
		plain = kept
	}
	return json.Unmarshal(plain, result)
}

// explain makes an *rpc.Error of an error that the server answered, and says why a connection is over.
func (l *link) explain(err error) error {
	var e *jsonrpc2.Error
	switch {
	case errors.As(err, &e):
		return errorOf(e)
	case errors.Is(err, jsonrpc2.ErrClosed):
		<-l.done // it is about to tell why
		return l.failure()
	}
	return err
}

func (l *link) failure() error {
	if l.err == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, lost(l.err))
}

// over notes why nothing is read any more. It is called once.
func (l *link) over(err error) {
	l.err = err
	close(l.done)
}
