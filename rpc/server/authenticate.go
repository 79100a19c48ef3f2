package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
)

// Authenticator identifies callers. An [auth.Chain] is one. Its methods may be called concurrently.
type Authenticator interface {
	// Authenticate returns who the caller of an HTTP request is. Sessions belong to the principal;
	// a principal finds only its own. Authenticate checks the Host and the Origin of the request
	// too: a page of another site can open a WebSocket (RFC 6455 §10.2). The context of the request
	// has the peer: see [access.PeerOf]. The error is an *access.Refusal, or a failure of the
	// server.
	Authenticate(r *http.Request) (access.Identity, error)
	// AuthenticateToken returns who the peer of a connection is if it presents a token, for the
	// method authenticate. The error is an *access.Refusal.
	AuthenticateToken(token string, peer access.Peer) (access.Identity, error)
	// Accepts reports whether the credential of an identity, which was accepted before, has not
	// been revoked. Its expiry does not matter.
	Accepts(access.Identity) bool
}

var _ Authenticator = (*auth.Chain)(nil)

type callerKey struct{}

// requestCaller is what the context of a request has that one of Options.Routes handles.
type requestCaller struct {
	server   *Server
	identity access.Identity
}

// Identity returns who the caller of a request is that one of [Options].Routes handles.
func Identity(ctx context.Context) access.Identity {
	of, _ := ctx.Value(callerKey{}).(requestCaller)
	return of.identity
}

// authenticated returns a handler for the requests that Auth accepts.
func (s *Server) authenticated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := s.authenticate(w, r); ok {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, requestCaller{s, id})))
		}
	})
}

// authenticate returns the identity of the caller. If the request is refused, it writes the
// response and returns false.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (id access.Identity, ok bool) {
	id, err := s.o.Auth.Authenticate(r)
	if err == nil {
		connOf(r.Context()).judge(true)
		return id, true
	}
	var refusal *access.Refusal
	if !errors.As(err, &refusal) {
		s.o.Log.Error().Err(err).Str("remote", r.RemoteAddr).Msg("authentication failed")
		refusal = &access.Refusal{Status: http.StatusInternalServerError, Reason: "authentication failed"}
	}
	s.refuse(w, r, refusal)
	return access.Identity{}, false
}

// challenge returns the value of WWW-Authenticate.
func (s *Server) challenge(r *http.Request) string {
	if s.o.Challenge != nil {
		if text := s.o.Challenge(r); text != "" {
			return text
		}
	}
	return "Bearer"
}

// refuse answers a request that is refused. A peer that is refused too often gets 429 after
// refusalDelay, and its connection is closed: it cannot make the server do more than that at a higher
// rate. The credential of a request is checked before, so a valid one is never delayed.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, refusal *access.Refusal) {
	c := connOf(r.Context())
	if !c.judge(s.refusals.refuse(s.peerOf(r), r.RemoteAddr, refusal)) {
		c.closeFirst.Store(true)
		delay(r.Context(), refusalDelay)
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		http.Error(w, "too many refused requests", http.StatusTooManyRequests)
		return
	}
	if refusal.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", s.challenge(r))
	}
	http.Error(w, refusal.Reason, refusal.Status)
}
