package server

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
)

// upgrade turns an HTTP connection into a WebSocket, which a goroutine of its own serves until it
// is closed: net/http keeps the request, two buffers and a large stack until its handler returns.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, d *dialect) {
	id, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	if !s.admit(w, r, id.Principal) {
		return
	}
	tcp := connOf(r.Context())
	s.unauthenticated.remove(tcp)
	h, err := handshake(w, r)
	if err != nil {
		if h.hijacked {
			_ = tcp.Close()
		} else {
			s.unauthenticated.add(tcp)
		}
		s.releaseSlot(id.Principal)
		return
	}
	c := s.connect(id, r, d, tcp.Conn, h.before)
	go func() {
		defer s.releaseSlot(id.Principal)
		defer s.remove(c)
		c.serve()
	}()
}

// connect returns the connection of the caller of a request, whose handshake on a socket is done, and sends
// connected. before is what was read from the socket after the handshake. Whoever calls connect serves the
// connection, and then removes it.
func (s *Server) connect(id access.Identity, r *http.Request, d *dialect, socket net.Conn, before []byte) *conn {
	c := newConn(s, id, r.RemoteAddr, d, newSocket(socket, s.o.WriteTimeout), before)
	c.audit = s.auditor(r)
	c.peer, c.from = access.PeerOf(r.Context()), s.peerOf(r)
	c.send(notification(rpc.NotifyConnected, s.connected(c.id, id)))
	s.add(c)
	c.reauthenticate() // the credential may have been revoked since it was checked
	return c
}

// subprotocol is that of this version of the protocol.
const subprotocol = "runnel.v1"

// handshake performs the opening handshake (RFC 6455 §4.2).
func handshake(w http.ResponseWriter, r *http.Request) (*hijacker, error) {
	h := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // the Authenticator has checked the Origin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err == nil {
		_ = ws.CloseNow() // of the noConn
	}
	return h, err
}

// hijacker is the http.ResponseWriter of a handshake. It takes the connection from net/http and
// gives the WebSocket library a noConn in its place: the server reads and writes frames itself.
type hijacker struct {
	http.ResponseWriter
	hijacked bool
	before   []byte // what net/http has read ahead
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.hijacked = true
	_ = c.SetDeadline(time.Time{})
	ahead, _ := rw.Peek(rw.Reader.Buffered())
	h.before = bytes.Clone(ahead)
	const least = 16 // of a bufio.Reader
	return noConn{}, bufio.NewReadWriter(bufio.NewReaderSize(noConn{}, least), bufio.NewWriterSize(noConn{}, least)), nil
}

// noConn is a connection that is closed.
type noConn struct{ net.Conn }

func (noConn) Read([]byte) (int, error)  { return 0, net.ErrClosed }
func (noConn) Write([]byte) (int, error) { return 0, net.ErrClosed }
func (noConn) Close() error              { return nil }
