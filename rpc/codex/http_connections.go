package codex

import (
	"context"
	"errors"
	"net"
	"sync"
)

// httpConnections are the connections of one http/request, which end with it. net/http goes on with a connect or
// a TLS handshake after its request has ended, for the sake of later requests, so without this they would not
// be bounded by the number of requests. The methods may be called concurrently.
type httpConnections struct {
	ctx  context.Context // of the request
	wait sync.WaitGroup  // for connections that are made or open

	mu     sync.Mutex
	closed bool
	open   map[*httpConnection]struct{}
}

func newHTTPConnections(ctx context.Context) *httpConnections {
	return &httpConnections{ctx: ctx, open: make(map[*httpConnection]struct{})}
}

var errHTTPEnded = errors.New("the request has ended")

// dialFunc connects to an address, as net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialing returns a function that makes connections by dial. The context that net/http passes does not
// end with the request.
func (h *httpConnections) dialing(dial dialFunc) dialFunc {
	return func(_ context.Context, network, address string) (net.Conn, error) {
		if !h.begin() {
			return nil, errHTTPEnded
		}
		conn, err := dial(h.ctx, network, address)
		if err != nil {
			h.wait.Done()
			return nil, err
		}
		c := &httpConnection{conn, h}
		if !h.add(c) {
			_ = conn.Close()
			h.wait.Done()
			return nil, errHTTPEnded
		}
		return c, nil
	}
}

// begin counts a connection that is to be made, unless the request has ended.
func (h *httpConnections) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.wait.Add(1)
	}
	return !h.closed
}

// add adds a connection that was made, unless the request has ended.
func (h *httpConnections) add(c *httpConnection) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.open[c] = struct{}{}
	}
	return !h.closed
}

// remove removes a connection that is closed. Further calls have no effect.
func (h *httpConnections) remove(c *httpConnection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.open[c]; ok {
		delete(h.open, c)
		h.wait.Done()
	}
}

// close closes all connections, and returns when no descriptor is left. The context of the request has ended.
func (h *httpConnections) close() {
	h.mu.Lock()
	h.closed = true
	for c := range h.open {
		_ = c.Conn.Close()
		delete(h.open, c)
		h.wait.Done()
	}
	h.mu.Unlock()
	h.wait.Wait()
}

// httpConnection is one of httpConnections.
type httpConnection struct {
	net.Conn
	of *httpConnections
}

// Close implements net.Conn.
func (c *httpConnection) Close() error {
	err := c.Conn.Close()
	c.of.remove(c)
	return err
}
