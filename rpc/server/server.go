package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// Server serves the protocol on any number of listeners. Its methods may be called concurrently.
type Server struct {
	o        Options
	sessions *session.Registry
	http     *http.Server
	refusals *refusals
	wg       sync.WaitGroup // connections

	unauthenticated *unauthenticated
	hook            func(step string) // of a test; nil if there is none

	mu     sync.Mutex
	conns  map[*conn]struct{}
	open   int // connections, those in their handshake too
	closed bool
}

// New returns a server of the sessions of a registry. Serve it, and then Shutdown.
func New(sessions *session.Registry, o Options) *Server {
	o = o.withDefaults(sessions)
	s := &Server{o: o, sessions: sessions, refusals: newRefusals(o.Log), conns: make(map[*conn]struct{})}
	s.unauthenticated = newUnauthenticated(o.MaxUnauthenticated, s.refusals)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, &current) })
	mux.HandleFunc("GET /ws/mcp", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, &legacy) })
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /healthz", s.health)
	for pattern, h := range o.Routes {
		mux.Handle(pattern, s.authenticated(h))
	}
	s.http = &http.Server{
		Handler:           mux,
		ConnContext:       connContext,
		ConnState:         s.unauthenticated.state,
		ReadHeaderTimeout: o.RequestTimeout,
		ReadTimeout:       o.RequestTimeout, // of the body too, which nobody wants
		WriteTimeout:      o.RequestTimeout,
		IdleTimeout:       o.RequestTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          stdlog.New(io.Discard, "", 0),
	}
	return s
}

// Serve accepts connections on l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(listener{l, s.unauthenticated}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Announce tells every connection that the server takes no new sessions and how long those that run have.
func (s *Server) Announce() {
	text := notification(rpc.NotifyShutdown, rpc.Shutdown{Drain: s.o.Drain.Seconds()})
	for _, c := range s.all() {
		c.send(text)
	}
}

// Shutdown closes the listeners and every connection, with 1001 (RFC 6455 §7.4.1), and returns when nothing
// of the server is left running. End the sessions first: what they still have to say is sent before.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range s.all() {
		c.shutdown()
	}
	slow := time.AfterFunc(farewell, func() {
		for _, c := range s.all() {
			c.outbox.abort()
		}
	})
	defer slow.Stop()
	_ = s.http.Close()
	s.wg.Wait()
	s.refusals.close()
}

// farewell is how long connections have at shutdown to take what is still to be sent to them.
const farewell = 5 * time.Second

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if s.sessions.Draining() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"status":"draining"}`)
		return
	}
	_, _ = io.WriteString(w, `{"status":"healthy"}`)
}

// upgrade makes a WebSocket of a request and serves it to its end.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, d *dialect) {
	principal, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	if !s.enter() {
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
		InsecureSkipVerify: true, // Host, Origin and token were checked, more strictly
		CompressionMode:    websocket.CompressionDisabled,
		OnPongReceived:     func(_ context.Context, payload []byte) { c.outbox.pong(payload) },
	})
	if err != nil {
		s.leave(nil)
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
	if !s.join(c) {
		c.shutdown()
	}
	c.serve()
	s.leave(c)
}

// enter takes one of the places for connections.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.open >= s.o.MaxConnections || s.sessions.Draining() {
		return false
	}
	s.open++
	s.wg.Add(1)
	return true
}

func (s *Server) join(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return !s.closed
}

// leave gives the place back.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	delete(s.conns, c)
}

// connected is the params of a connection's first message.
func (s *Server) connected(id string) rpc.Connected {
	return rpc.Connected{
		ConnectionID: id,
		SessionID:    id,
		Server:       "runnel",
		Version:      s.o.Version,
		Protocol:     rpc.Version,
		Capabilities: slices.Concat(capabilities, s.o.Capabilities),
		Limits:       s.bounds(),
	}
}

// step calls the hook of a test.
func (s *Server) step(name string) {
	if s.hook != nil {
		s.hook(name)
	}
}

// hijacker hands the library our connection in place of the real one, and a writer that ends in it.
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
	h.lib.begin()
	return h.lib, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.lib, controlFrameBytes)), nil
}

// controlFrameBytes holds the largest control frame (RFC 6455 §5.5), so each comes as one write.
const controlFrameBytes = 2 + 125
