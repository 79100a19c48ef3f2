package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc/server"
)

// Path is the path of the Handler; Pattern is that of its route, in [server.Options].Routes.
const (
	Path    = "/mcp"
	Pattern = Path
)

// HandlerOptions are the options of NewHandler.
type HandlerOptions struct {
	// Version and Tools are as in Options.
	Version string
	Tools   []string
	// Idle is how long a session without a name continues after its last use. 0 is DefaultIdle.
	Idle time.Duration
	// Log receives faults of this package. Nil discards them. What hosts do wrong is not logged: it is told to
	// them.
	Log *slog.Logger
}

// Handler offers the tools over HTTP (the transport "Streamable HTTP" of MCP), each request for the
// principal of its credential. It keeps nothing between requests but the sessions on the Runnel server, so
// a request may come over any connection, and after a restart of the host. It is a route of a
// [server.Server], whose Auth has checked the credential, the Host and the Origin.
type Handler struct {
	options HandlerOptions
	sdk     *sdk.StreamableHTTPHandler
	hosts   *hostIDs
	calls   calls
	readers sync.Pool // see idle
	others  sync.Pool
}

// NewHandler returns a handler. The error wraps ErrUnknownTool.
func NewHandler(o HandlerOptions) (*Handler, error) {
	if err := CheckTools(o.Tools); err != nil {
		return nil, err
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		options: o,
		hosts:   newHostIDs(),
		sdk: sdk.NewStreamableHTTPHandler(toolsOf, &sdk.StreamableHTTPOptions{
			Stateless:                  true,
			DisableLocalhostProtection: true, // Auth has checked the Host
			MaxRequestBodyBytes:        MaxRequestBytes,
		}),
	}, nil
}

type toolsKey struct{}

// toolsOf returns the tools that are offered to a request.
func toolsOf(r *http.Request) *sdk.Server {
	tools, _ := r.Context().Value(toolsKey{}).(*sdk.Server)
	return tools
}

// ServeHTTP implements http.Handler. There is no stream for messages that answer no request, so GET is
// refused, and nothing to delete.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST is supported: there is no stream for other messages, and nothing to delete", http.StatusMethodNotAllowed)
		return
	}
	local, ok := server.AcceptLocal(w, r)
	if !ok {
		return
	}
	defer local.Close()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequestBytes))
	if err != nil {
		refuseBody(w, err)
		return
	}
	messages, err := checkBounds(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !local.AwaitHandshakes(messages - 1) {
		return
	}
	// From now on, the end of the connection is noticed, and the response takes as long as the call.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	h.serve(&response{w}, r, local, body)
}

func refuseBody(w http.ResponseWriter, err error) {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, fmt.Sprintf("the request is larger than %d bytes", MaxRequestBytes), http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "the request could not be read", http.StatusBadRequest)
}

// serve answers a request.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, local *server.LocalRequest, body []byte) {
	caller := &localCaller{local: local, connected: local.Connected()}
	defer caller.close()
	host, m := hostOf(r), peek(body)
	switch {
	case host != "" && !h.hosts.valid(host, caller.connected.Principal):
		http.Error(w, "session not found", http.StatusNotFound) // after which the host initializes
		return
	case m.Method == "initialize":
		w.Header().Set(hostHeader, h.hosts.add(caller.connected.Principal))
	case m.Method == "notifications/cancelled":
		h.calls.cancel(callID{host, m.Params.RequestID.key()})
		w.WriteHeader(http.StatusAccepted)
		return
	}
	s, err := h.take(caller)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	defer h.put(s)
	defer context.AfterFunc(r.Context(), s.left)() // the host cannot get the result any more
	if host != "" && m.ID != "" {
		defer h.calls.add(callID{host, m.ID.key()}, s.left)()
	}
	r = r.WithContext(context.WithValue(r.Context(), toolsKey{}, s.server))
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.sdk.ServeHTTP(w, r)
}

// take returns a Server for the calls of a request. Its tools are those of the role, and making them costs
// more than most requests.
func (h *Handler) take(caller *localCaller) (*Server, error) {
	if s, ok := h.idle(caller).Get().(*Server); ok {
		s.serve(caller)
		return s, nil
	}
	return New(caller, Options{Version: h.options.Version, Tools: h.options.Tools, Idle: h.options.Idle, Log: h.options.Log})
}

// put ends the calls of a request, none of which is in progress any more, and keeps the Server for another.
func (h *Handler) put(s *Server) {
	s.left()
	idle := h.idle(s.caller)
	s.caller = nil
	idle.Put(s)
}

// idle are the Servers without a request whose tools are those of the caller's role.
func (h *Handler) idle(caller Caller) *sync.Pool {
	if onlyReads(caller) {
		return &h.readers
	}
	return &h.others
}

// response is the response to a host. A host that reads none of it for writeTimeout ends it.
type response struct{ http.ResponseWriter }

// Write implements io.Writer.
func (r *response) Write(b []byte) (int, error) {
	r.extend()
	return r.ResponseWriter.Write(b)
}

// FlushError implements what http.ResponseController uses.
func (r *response) FlushError() error {
	r.extend()
	return http.NewResponseController(r.ResponseWriter).Flush()
}

func (r *response) extend() {
	_ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// Unwrap is used by http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
