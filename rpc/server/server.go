package server

import (
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/budget"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/quota"
)

// Server serves the protocol on any number of listeners. Its methods may be called concurrently.
type Server struct {
	o        Options
	sessions *session.Registry
	http     *http.Server
	refusals *refusals
	audited  *repeats // refused requests of all connections
	turns    *turns
	paints   *budget.Budget // screens that are computed
	wg       sync.WaitGroup // connections
	locals   sync.WaitGroup // those that are a LocalRequest

	unauthenticated *unauthenticated
	handshakes      *handshakes
	onCheckpoint    func(checkpoint) // of a test, else nil
	startInline     time.Duration    // the constant, but for a test

	mu      sync.Mutex
	conns   map[*conn]struct{}
	callers map[*Caller]struct{}
	slots   *quota.Pool // of connections, also during the handshake
	restart bool        // what Announce has announced
	closed  bool
}

// New returns a server for the sessions of a registry. The caller calls Serve, and then Shutdown.
func New(sessions *session.Registry, o Options) *Server {
	o = o.withDefaults(sessions)
	s := &Server{
		o:        o,
		sessions: sessions,
		refusals: newRefusals(o.Log, auditRefusals(o.Audit, o.Refused)),
		audited:  newRepeats(o.Audit),
		turns:    newTurns(),
		paints:   budget.New(maxPaints, maxPaintsOfPrincipal),
		conns:    make(map[*conn]struct{}),
		callers:  make(map[*Caller]struct{}),
		slots:    quota.NewPool(o.MaxConnections, quota.Shares{}),

		handshakes:  newHandshakes(o.MaxConnections),
		startInline: startInline,
	}
	s.unauthenticated = newUnauthenticated(o.MaxUnauthenticated, s.refusals)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, &current) })
	mux.HandleFunc("GET /ws/mcp", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, &legacy) })
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /healthz", s.health)
	for pattern, h := range o.Routes {
		mux.Handle(pattern, s.authenticated(h))
	}
	for pattern, h := range o.Public {
		mux.Handle(pattern, h)
	}
	s.http = &http.Server{
		Handler:           mux,
		BaseContext:       baseContext,
		ConnContext:       connContext,
		ConnState:         s.unauthenticated.stateChanged,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: o.RequestTimeout,
		ReadTimeout:       o.RequestTimeout, // of the body too, which is not used
		WriteTimeout:      o.RequestTimeout,
		IdleTimeout:       o.RequestTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          stdlog.New(io.Discard, "", 0),
	}
	s.http.Protocols.SetHTTP1(true) // a WebSocket takes the connection (RFC 6455 §4.1)
	return s
}

// Serve accepts connections on l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(listener{l, s.unauthenticated, s.o.TLS, s.o.RequestTimeout}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Announce notifies every connection that the server takes no new sessions, how long running ones
// have, and whether the server will be started again.
func (s *Server) Announce(restart bool) {
	s.mu.Lock()
	s.restart = restart
	s.mu.Unlock()
	text := notification(rpc.NotifyShutdown, rpc.Shutdown{Drain: s.o.Drain.Seconds(), Restart: restart})
	for _, c := range s.all() {
		c.send(text)
	}
}

// shutdownTimeout is how long connections have at shutdown to take what is still to be sent to
// them.
const shutdownTimeout = 5 * time.Second

// Shutdown closes the listeners, and every connection with 1001, or with 1012 if a restart was
// announced. It returns when no goroutine of the server is left. The caller ends the sessions
// before, so that their last events are sent.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.closed = true
	restart := s.restart
	s.mu.Unlock()
	for _, c := range s.all() {
		c.shutdown(restart)
	}
	for _, c := range s.allCallers() {
		c.shutdown(restart)
	}
	abort := time.AfterFunc(shutdownTimeout, func() {
		for _, c := range s.all() {
			c.outbox.abort()
		}
	})
	defer abort.Stop()
	s.awaitLocals(shutdownTimeout)
	_ = s.http.Close()
	s.wg.Wait()
	s.refusals.close()
	s.audited.close()
}

// awaitLocals waits until the LocalRequests have answered, since their connections are closed: http.Close
// would cut the answers.
func (s *Server) awaitLocals(timeout time.Duration) {
	answered := make(chan struct{})
	go func() { // ends after http.Close at the latest
		defer close(answered)
		s.locals.Wait()
	}()
	select {
	case <-answered:
	case <-time.After(timeout):
	}
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

// connected returns the params of the first notification on a connection.
func (s *Server) connected(id string, caller access.Identity) rpc.Connected {
	return rpc.Connected{
		ConnectionID: id,
		SessionID:    id,
		Server:       "runnel",
		Version:      s.o.Version,
		Protocol:     rpc.Version,
		Principal:    caller.Principal,
		Role:         caller.Role.String(),
		Expires:      expires(caller),
		Capabilities: slices.Concat(capabilities, s.o.Capabilities, s.o.Sandboxes.capabilities(), s.spoolCapabilities()),
		Limits:       s.bounds(),
	}
}
