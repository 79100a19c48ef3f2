package server

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"

	"github.com/coder/websocket"
)

// upgrade turns an HTTP connection into a WebSocket and serves it until it is closed.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, d *dialect) {
	principal, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	if refused := s.takeSlot(); refused != "" {
		s.refusals.add(refused, r.RemoteAddr, http.StatusServiceUnavailable)
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		http.Error(w, refused, http.StatusServiceUnavailable)
		return
	}
	defer s.wg.Done()
	tcp := peerOf(r.Context()).conn
	s.unauthenticated.remove(tcp)
	sock := newSocket(tcp, s.o.WriteTimeout)
	c := newConn(s, principal, d, sock)
	h := &hijacker{ResponseWriter: w, lib: newLibraryConn(c.outbox, s.idle())}
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
