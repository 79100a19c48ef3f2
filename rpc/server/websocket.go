package server

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// upgrade turns an HTTP connection into a WebSocket and serves it until it is closed.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, d *dialect) {
	principal, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	if !s.takeSlot() {
		s.refusals.add("over capacity", r.RemoteAddr, http.StatusServiceUnavailable)
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		http.Error(w, "over capacity", http.StatusServiceUnavailable)
		return
	}
	defer s.wg.Done()
	tcp := peerOf(r.Context()).conn
	s.unauthenticated.remove(tcp)
	sock := newSocket(tcp, s.o.WriteTimeout)
	c := newConn(s, principal, d, sock)
	h := &hijacker{ResponseWriter: w, lib: &libraryConn{socket: sock, outbox: c.outbox, idle: s.idle(), closed: make(chan struct{})}}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // the Authenticator has checked the Origin
		CompressionMode:    websocket.CompressionDisabled,
		OnPongReceived:     func(_ context.Context, payload []byte) { c.outbox.pong(payload) },
	})
	if err != nil {
		s.releaseSlot()
		c.cancel()
		if h.hijacked {
			_ = h.lib.Close()
			_ = sock.Conn.Close()
		} else {
			s.unauthenticated.add(tcp)
		}
		return
	}
	ws.SetReadLimit(s.o.MaxMessageBytes)
	c.ws = ws
	s.add(c)
	c.serve()
	s.remove(c)
	s.releaseSlot()
}

// takeSlot takes one of the slots for connections, unless all are taken or the server shuts down.
func (s *Server) takeSlot() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.slots >= s.o.MaxConnections || s.sessions.Draining() {
		return false
	}
	s.slots++
	s.wg.Add(1)
	return true
}

func (s *Server) releaseSlot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots--
}

// add makes a connection one of those that Shutdown closes.
func (s *Server) add(c *conn) {
	s.mu.Lock()
	closed := s.closed
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if closed {
		c.shutdown()
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// hijacker is the http.ResponseWriter of a handshake. It gives the WebSocket library a libraryConn
// in place of the connection, and a writer to it.
type hijacker struct {
	http.ResponseWriter
	lib      *libraryConn
	hijacked bool
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	_, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.hijacked = true
	h.lib.start()
	return h.lib, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.lib, controlFrameBytes)), nil
}

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
	idle   time.Duration // the longest time without a sign of life
	peer   *liveness     // set by start

	once   sync.Once
	closed chan struct{}
}

func (c *libraryConn) Read(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
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
