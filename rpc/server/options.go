package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// Options configure a server. The zero value serves with the defaults that the fields name.
type Options struct {
	// Version is reported by connected.
	Version string
	// Defaults are for what an execute leaves out.
	Defaults Defaults

	// Auth identifies the caller of an HTTP request. Nil is [auth.Loopback], which accepts any caller
	// that reaches the port on loopback.
	Auth Authenticator
	// EndRevoked makes Reauthenticate end the sessions that were started with a revoked credential.
	// Otherwise they continue, apart from those that end with the last connection, and those that are
	// queued.
	EndRevoked bool
	// Authorize decides whether a caller may call a method with params. It is called for each
	// request that this server carries out and that has params, in the order of the requests of a
	// connection: after the params are decoded, and before anything is done, for an execute before
	// a slot is reserved. params is a pointer to the type of the method's params, as in [Methods].
	// The error is the reply; it should be an *rpc.Error. Authorize must not block. Nil, as in
	// runnel serve, permits everything.
	Authorize func(id access.Identity, method string, params any) error
	// Restrict decides whether a caller may execute p, after Authorize, when the session's spec was
	// made from the params and the server's defaults, and before a slot is reserved. It may change
	// the spec; for the user that p names it sets Program.User, with HOME and the like in
	// Program.Env, and it removes TraceID if it does not accept the traceparent, which then is not in
	// the audit log either. The error is the reply; it should be an *rpc.Error. Restrict must not
	// block, and may be called concurrently. Nil permits everything except a user.
	Restrict func(id access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error
	// SameGroup reports whether two different principals are in one group, so that one with the
	// role Observe may read the sessions of the other. Nil means that there are no groups.
	SameGroup func(a, b string) bool
	// Route decides which server carries out a request. It is called in the order of the requests
	// of a connection, before the params are decoded, and must not block. If it is nil, as in
	// runnel serve, or returns nil, this server carries out the request. Otherwise Route has begun
	// the request elsewhere, and returns a function that waits for the result. The error of that
	// function is the reply if it is an *rpc.Error or a *jsonrpc2.Error.
	//
	// ctx ends with the connection, the context of wait also when the request is canceled. The
	// params of r are valid until Route returns. The ID of r is not set.
	Route func(ctx context.Context, principal string, r *jsonrpc2.Request) (
		wait func(context.Context) (json.RawMessage, error))
	// Routes are additional HTTP handlers by their patterns, as in [http.ServeMux]. They get
	// requests that Auth accepts; [Identity] returns the caller. The patterns of the server's own
	// paths panic in New. Runnel serve adds /codex and, with --mcp, /mcp.
	Routes map[string]http.Handler
	// Public are further handlers, for which there is no authentication. Runnel serve adds the metadata of
	// --mcp.
	Public map[string]http.Handler
	// Challenge returns the value of WWW-Authenticate (RFC 9110 §11.6.1) for a request that has no valid
	// credential, or "" for the default, Bearer. It may be nil.
	Challenge func(*http.Request) string

	// Proxies are those whose word about the address of a client counts for the log and for Refused.
	Proxies *auth.Proxies
	// Refused, which may be nil, is called at most once a second for each peer whose requests were
	// refused. It must not block.
	Refused func(Refused)

	// TLS returns the configuration of the next connection over TCP. It is called for each, and must
	// not block. Nil is no TLS. Connections over other networks have none.
	TLS func() *tls.Config

	MaxConnections int // WebSockets; 0 is 100
	// MaxUnauthenticated is the most TCP connections that are not WebSockets; one more closes the
	// oldest of them. 0 is 128.
	MaxUnauthenticated int
	// RequestTimeout bounds a TLS handshake, an HTTP request, its response and the wait for the next
	// request, each.
	// It does not apply to WebSockets. 0 is 10 s.
	RequestTimeout  time.Duration
	MaxInFlight     int   // requests in flight on one connection; 0 is 1024
	MaxMessageBytes int64 // bytes of a message from a client; 0 is 1 MiB
	// PingInterval is the time between pings. A connection is closed if for three intervals nothing
	// arrives and the peer reads nothing. 0 is 20 s.
	PingInterval time.Duration
	WriteTimeout time.Duration // longest time in which the peer takes no byte; 0 is 30 s
	Drain        time.Duration // that a shutdown leaves to running sessions, for Announce

	// Sandboxes configures the sandboxes of commands.
	Sandboxes Sandboxes

	// Capabilities are those of the machine, reported by connected with the server's own.
	Capabilities []string
	// Audit is the audit log; nil is none. [AuditSessions] returns what the registry of the sessions
	// has to call for it.
	Audit *audit.Log
	// Log is where the server logs. The zero value logs nothing.
	Log zerolog.Logger
}

// Defaults are for the params that an execute leaves out. Zero times are what null means for the
// param: no timeout, no linger, and for Grace SIGKILL at once.
type Defaults struct {
	Shell         string // a POSIX shell, which runs a string command with -c; "" is /bin/sh
	Timeout       time.Duration
	StreamTimeout time.Duration
	Grace         time.Duration
	Linger        time.Duration
	// Environ is the environment of commands, each name=value; New sets PWD. Nil is the environment
	// of the server.
	Environ []string

	Limits    process.Limits // of a session that sets none
	MaxLimits process.Limits // ceilings, which also apply to sessions that set none

	dir         string // the server's working directory, "" if it is unknown
	replayBytes int64  // of the registry: the largest capture_bytes
}

// withDefaults returns the options with their defaults filled in.
func (o Options) withDefaults(sessions *session.Registry) Options {
	if o.Auth == nil {
		o.Auth = auth.Loopback()
	}
	o.MaxConnections = cmp.Or(o.MaxConnections, 100)
	o.MaxUnauthenticated = cmp.Or(o.MaxUnauthenticated, 128)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 1024)
	o.MaxMessageBytes = cmp.Or(o.MaxMessageBytes, 1<<20)
	o.PingInterval = cmp.Or(o.PingInterval, 20*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	if o.Restrict != nil && process.ChangesUser() {
		o.Capabilities = append(slices.Clone(o.Capabilities), "user")
	}
	o.Defaults.complete()
	o.Defaults.replayBytes = sessions.Options().ReplayBytes
	return o
}

// complete fills in what is not set.
func (d *Defaults) complete() {
	d.Shell = cmp.Or(d.Shell, "/bin/sh")
	if d.Environ == nil {
		d.Environ = os.Environ()
	}
	d.setDirectory()
}

// bounds are those of the server and its registry, as connected reports them.
func (s *Server) bounds() rpc.Bounds {
	registry, defaults := s.sessions.Options(), &s.o.Defaults
	spooled := registry.Spool.Options()
	return rpc.Bounds{
		MaxSessions:          registry.MaxSessions,
		MaxQueued:            max(registry.MaxQueued, 0),
		MaxRetained:          max(registry.MaxRetained, 0),
		Retain:               max(registry.Retain, 0).Seconds(),
		SpoolBytes:           spooled.SessionBytes,
		SpoolTotal:           spooled.TotalBytes,
		SpoolRetain:          spooled.Retain.Seconds(),
		ReplayBytes:          registry.ReplayBytes,
		ReplayTotal:          max(registry.ReplayTotal, 0),
		MaxConnections:       s.o.MaxConnections,
		MaxMessageBytes:      s.o.MaxMessageBytes,
		MaxInFlight:          s.o.MaxInFlight,
		MaxInFlightBytes:     maxInFlightBytes,
		MaxBatch:             maxBatch,
		MaxAttached:          maxAttached,
		StdinQueueBytes:      session.StdinQueueBytes,
		MaxOutputBytes:       rpc.MaxOutputBytes,
		DefaultMaxLineBytes:  stream.DefaultMaxLine,
		MinNice:              process.MinNice(),
		PingInterval:         s.o.PingInterval.Seconds(),
		WriteTimeout:         s.o.WriteTimeout.Seconds(),
		DefaultTimeout:       defaults.Timeout.Seconds(),
		DefaultStreamTimeout: defaults.StreamTimeout.Seconds(),
		DefaultGrace:         defaults.Grace.Seconds(),
		DefaultLinger:        defaults.Linger.Seconds(),
	}
}
