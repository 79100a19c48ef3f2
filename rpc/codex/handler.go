package codex

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/budget"
	"github.com/runnel-rpc/runnel/rpc/files"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// Pattern is the route of a Handler, for server.Options.Routes.
const Pattern = "GET /codex"

// Options configure a Handler. The zero value has the defaults that the fields name.
type Options struct {
	// Resume is how long a client session may be resumed after its connection has ended. Then all its
	// processes end. 0 is 30 s, which the client relies on.
	Resume time.Duration
	// MaxSessions is the most client sessions of a principal, with those that may be resumed; 0 is 64.
	MaxSessions int
	// MaxProcesses is the most processes of a client session, with those that are known after they were
	// closed; 0 is 256.
	MaxProcesses int
	// ClosedRetention is how long a process is known after it was closed, or read last, so that its output
	// can be read; 0 is 30 s.
	ClosedRetention time.Duration
	// HTTP serves http/request: the server makes HTTP requests for callers who may run any command.
	HTTP bool
	// MaxHTTPBody is the largest body in bytes of the response to a http/request that is not streamed; 0 is
	// 16 MiB. The bodies of a principal may take 4 times as much memory, those of all 16 times as much.
	MaxHTTPBody int64
	// Log is where the handler logs. The zero value logs nothing.
	Log zerolog.Logger
}

// Handler is the route of the protocol. Its methods may be called concurrently.
type Handler struct {
	o      Options
	files  *files.Pool
	memory *budget.Budget // of large replies
	// httpMemory is that of the bodies of HTTP responses, which wait for other machines: it must not delay
	// other replies.
	httpMemory *budget.Budget
	httpSlots  httpSlots

	mu       sync.Mutex
	sessions map[string]*clientSession
	closed   bool
	ending   sync.WaitGroup // client sessions that remove ends
}

// New returns a handler. The caller calls Close after the server has shut down.
func New(o Options) *Handler {
	o.Resume = cmp.Or(o.Resume, 30*time.Second)
	o.MaxSessions = cmp.Or(o.MaxSessions, 64)
	o.MaxProcesses = cmp.Or(o.MaxProcesses, 256)
	o.ClosedRetention = cmp.Or(o.ClosedRetention, 30*time.Second)
	o.MaxHTTPBody = cmp.Or(o.MaxHTTPBody, maxHTTPBodyBytes)
	return &Handler{
		o: o, files: files.NewPool(files.Options{}), memory: budget.New(maxReplyMemory, maxReplyMemoryOfPrincipal),
		httpMemory: budget.New(maxHTTPMemory*o.MaxHTTPBody, maxHTTPMemoryOfPrincipal*o.MaxHTTPBody),
		sessions:   make(map[string]*clientSession),
	}
}

// ServeHTTP serves a connection until it ends. A caller who may not start sessions is refused: the
// protocol has nothing for it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !server.Identity(r.Context()).Role.MayStart() {
		http.Error(w, "the role does not permit this protocol", http.StatusForbidden)
		return
	}
	caller, ok := server.Accept(w, r)
	if !ok {
		return
	}
	h.serve(caller, w, r)
}

// Close ends all client sessions and their processes. It returns when no goroutine of the handler is
// left, apart from those of connections, which the shutdown of the server has ended.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	var all []*clientSession
	for _, s := range h.sessions {
		all = append(all, s)
	}
	clear(h.sessions)
	h.mu.Unlock()
	for _, s := range all {
		s.finish()
	}
	h.ending.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), hungOperations)
	defer cancel()
	_ = h.files.Close(ctx) // an operation may hang in the kernel
}

// hungOperations is how long Close waits for operations on files that hang.
const hungOperations = time.Second

// create makes a client session with a connection.
func (h *Handler) create(c *conn) (*clientSession, error) {
	principal := c.caller.Principal()
	s := newClientSession(h, uuid.NewString(), principal)
	s.conn = c
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, invalidRequest("the server is shutting down")
	}
	n := 0
	var idle *clientSession
	for _, other := range h.sessions {
		if other.principal == principal {
			n++
			if idle == nil && other.idle() {
				idle = other
			}
		}
	}
	if n >= h.o.MaxSessions {
		if idle == nil {
			return nil, invalidRequest("there are %d sessions, which is the limit", n)
		}
		h.removeLocked(idle)
	}
	h.sessions[s.id] = s
	return s, nil
}

// resume attaches a connection to a client session. That of another principal is not found.
func (h *Handler) resume(c *conn, id string) (*clientSession, error) {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	if s == nil || s.principal != c.caller.Principal() {
		return nil, invalidRequest("unknown session id %s", clip(id))
	}
	other, ok := s.attach(c)
	switch {
	case !ok:
		return nil, invalidRequest("unknown session id %s", clip(id))
	case other != nil:
		other.probe()
		return nil, &wireError{
			Code:    codeAlreadyAttached,
			Message: "session " + id + " is already attached to another connection",
		}
	}
	return s, nil
}

// remove ends a client session that was not resumed.
func (h *Handler) remove(s *clientSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removeLocked(s)
}

// removeOf ends the client session of a connection, if it has one.
func (h *Handler) removeOf(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		if current, _ := s.connection(); current == c {
			h.removeLocked(s)
			return
		}
	}
}

func (h *Handler) removeLocked(s *clientSession) {
	if h.sessions[s.id] != s {
		return
	}
	delete(h.sessions, s.id)
	h.ending.Go(s.finish)
}
