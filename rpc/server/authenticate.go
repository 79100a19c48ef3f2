package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Authenticator identifies the caller of an HTTP request. [Auth] is the server's own.
type Authenticator interface {
	// Authenticate returns the principal that owns the sessions of the caller; a principal finds
	// only its own sessions. It checks the Host and the Origin of the request too: a page of
	// another site can open a WebSocket (RFC 6455 §10.2). The error is a *Refusal, or a failure of
	// the server. It may be called concurrently.
	Authenticate(r *http.Request) (principal string, err error)
}

// Refusal is how an HTTP request is refused.
type Refusal struct {
	Status int    // the HTTP status
	Reason string // one of a few texts: the log counts refusals by it
}

func (e *Refusal) Error() string { return fmt.Sprintf("%s (%d)", e.Reason, e.Status) }

type principalKey struct{}

// Principal returns the principal of a request that one of [Options].Routes handles.
func Principal(ctx context.Context) string {
	principal, _ := ctx.Value(principalKey{}).(string)
	return principal
}

// authenticated returns a handler for the requests that Auth accepts.
func (s *Server) authenticated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if principal, ok := s.authenticate(w, r); ok {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, principal)))
		}
	})
}

// authenticate returns the principal of a request. If it is refused, it writes the response and
// returns false.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (principal string, ok bool) {
	principal, err := s.o.Auth.Authenticate(r)
	if err == nil {
		return principal, true
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		s.o.Log.Error().Err(err).Str("remote", r.RemoteAddr).Msg("authentication failed")
		refusal = &Refusal{http.StatusInternalServerError, "authentication failed"}
	}
	if refusal.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	s.refusals.add(refusal.Reason, r.RemoteAddr, refusal.Status)
	http.Error(w, refusal.Reason, refusal.Status)
	return "", false
}
