package server

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// Caller acts for the principal of an HTTP request that one of Options.Routes handles. It is for
// handlers that speak another protocol: its methods make the checks that the requests of /ws pass, in
// the same order, and write the same lines to the audit log. A caller counts as a connection until
// Close. Its methods may be called concurrently. The errors are *rpc.Error.
type Caller struct {
	party
	ctx context.Context
	end context.CancelCauseFunc

	mu     sync.Mutex // protects what follows, auditor.written and party.refusals
	expiry *time.Timer
	closed bool
}

// Accept makes a caller of a request. If there is no room for another connection, or the server shuts
// down, it answers the request and returns false. It may delay the request, as a handshake of /ws. The
// caller must be closed.
func Accept(w http.ResponseWriter, r *http.Request) (*Caller, bool) {
	s, id, ok := admitted(w, r)
	if !ok {
		return nil, false
	}
	c := &Caller{party: party{server: s, id: uuid.NewString(), principal: id.Principal, from: s.peerOf(r), audit: s.auditor(r)}}
	c.identity = func() access.Identity { return id }
	c.ctx, c.end = context.WithCancelCause(context.Background())
	c.auditOpen(r.URL.Path)
	s.turns.connect(id.Principal)
	c.scheduleExpiry()
	s.addCaller(c)
	c.reauthenticate() // the credential may have been revoked since it was checked
	return c, true
}

// Context ends when the server closes the connection: at shutdown, or because the credential has
// expired or was revoked. Closing then says why.
func (c *Caller) Context() context.Context { return c.ctx }

// Closing returns the code and the reason of the close frame with which the server ends the connection.
func (c *Caller) Closing() (code websocket.StatusCode, reason string) {
	if why, ok := errors.AsType[*closeError](context.Cause(c.ctx)); ok {
		return why.code, why.reason
	}
	return websocket.StatusNormalClosure, ""
}

// Principal returns whose caller it is.
func (c *Caller) Principal() string { return c.principal }

// ID returns the id of the connection, for the log.
func (c *Caller) ID() string { return c.id }

// Turn waits for a turn of the principal to decode and handle a message: see turns. The result ends the
// turn.
func (c *Caller) Turn() (leave func()) { return c.server.turns.enter(c.principal, 0).leave }

// Close releases the connection. err, which may be nil, is why it has ended, for the audit log. Only the
// first call has an effect.
func (c *Caller) Close(err error) {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.mu.Unlock()
	if again {
		return
	}
	why, _ := errors.AsType[*closeError](context.Cause(c.ctx))
	c.end(nil)
	c.auditClose(why, err)
	c.server.turns.disconnect(c.principal)
	c.server.removeCaller(c)
	c.server.releaseSlot(c.principal)
}

// Start runs a command as a session, with an attachment that is made before it begins, and returns when
// the command runs. p has no session_id. If ctx ends first, the session has begun all the same, and is
// returned with the cause of ctx.
func (c *Caller) Start(
	ctx context.Context, p *rpc.ExecuteParams, o session.AttachOptions,
) (s *session.Session, a *session.Attachment, err error) {
	err = c.authorize(rpc.MethodExecute, p)
	if err == nil {
		s, _, err = c.reserve(p, func(string) *rpc.Error { return nil })
	}
	if err != nil {
		_ = c.auditExecute(p, nil, err)
		if c.refusedTooOften(err) {
			delay(ctx, refusalDelay)
		}
		return nil, nil, callerError(err)
	}
	defer s.Discard() // without effect after Begin
	if err := c.auditExecute(p, s, nil); err != nil {
		s.Refuse(err)
		return nil, nil, callerError(err)
	}
	a = s.Attach(o)
	c.begin(s)
	if err := await(ctx, s.Ready()); err != nil {
		return s, a, callerError(err)
	}
	if v := s.View(); v.Failure != nil {
		a.Detach()
		return nil, nil, callerError(v.Failure)
	}
	return s, a, nil
}

// refusedTooOften is party.refusedTooOften for concurrent calls.
func (c *Caller) refusedTooOften(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.party.refusedTooOften(err)
}

// Write submits data to the stdin of a session, as the method write does.
func (c *Caller) Write(s *session.Session, data []byte) (*session.Write, error) {
	params := &rpc.WriteParams{SessionID: s.ID(), Encoding: rpc.EncodingBase64}
	if c.server.o.Authorize != nil {
		text := base64.StdEncoding.EncodeToString(data)
		params.Data = &text
	}
	err := c.may(s, mayChange, rpc.MethodWrite, params)
	c.mu.Lock()
	c.auditWrite(s, "", err)
	c.mu.Unlock()
	if err != nil {
		return nil, callerError(err)
	}
	return s.Write(data, nil, nil, false), nil
}

// Signal sends a signal to the whole tree of a session that runs, as a control SIGNAL does. name is as in
// signal(7).
func (c *Caller) Signal(s *session.Session, name string) error {
	p := &rpc.ControlParams{SessionID: s.ID(), Type: rpc.ControlSignal, Signal: name}
	err := c.may(s, mayEnd, rpc.MethodControl, p)
	if err == nil {
		err = checkSignal(p)
	}
	if err == nil {
		_, err = signal(s, p)
	}
	c.auditControl(s, "", audit.Control{Action: p.Type, Signal: p.Signal}, err)
	return callerError(err)
}

// Cancel ends the whole tree of a session, as the method cancel does. It does not wait for the end.
func (c *Caller) Cancel(s *session.Session) error {
	err := c.may(s, mayEnd, rpc.MethodCancel, &rpc.CancelParams{SessionID: s.ID()})
	c.auditControl(s, "", audit.Control{Action: rpc.ControlCancel}, err)
	if err != nil {
		return callerError(err)
	}
	cancelSession(s, rpc.Seconds{}, 0)
	return nil
}

// may returns the error of a request with a session that the caller's principal has started.
func (c *Caller) may(s *session.Session, what permission, method string, params any) error {
	if err := c.authorize(method, params); err != nil {
		return err
	}
	if bad := permit(c.identity(), s.Spec().Owner, what); bad != nil {
		return bad
	}
	return nil
}

// callerError converts an error to that of the protocol.
func callerError(err error) error {
	if err == nil {
		return nil
	}
	e, _ := rpcError(err, "")
	return e
}

// scheduleExpiry sets the timer for the expiry, as conn.scheduleExpiry.
func (c *Caller) scheduleExpiry() {
	id := c.identity()
	if id.Expires.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.expiry = time.AfterFunc(untilExpiryCheck(id), c.checkExpiry)
	}
}

func (c *Caller) checkExpiry() {
	if !hasExpired(c.identity()) {
		c.scheduleExpiry()
		return
	}
	c.end(&closeError{rpc.CloseUnauthorized, "the credential has expired"})
}

// reauthenticate ends the connection if its credential was revoked.
func (c *Caller) reauthenticate() {
	if !c.server.o.Auth.Accepts(c.identity()) {
		c.end(&closeError{rpc.CloseUnauthorized, "the credential was revoked"})
	}
}

// shutdown ends the connection for a shutdown of the server.
func (c *Caller) shutdown(restart bool) { c.end(shutdownFrame(restart)) }

// addCaller adds a caller to those that Reauthenticate and Shutdown reach.
func (s *Server) addCaller(c *Caller) {
	s.mu.Lock()
	closed, restart := s.closed, s.restart
	s.callers[c] = struct{}{}
	s.mu.Unlock()
	if closed {
		c.shutdown(restart)
	}
}

func (s *Server) removeCaller(c *Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.callers, c)
}

func (s *Server) allCallers() []*Caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.callers))
}

// admitted takes a slot for the request of a route, and returns its server and its caller. If there is none, it
// answers the request and returns false.
func admitted(w http.ResponseWriter, r *http.Request) (s *Server, id access.Identity, ok bool) {
	of, ok := r.Context().Value(callerKey{}).(requestCaller)
	if !ok {
		http.Error(w, "not a route of a server", http.StatusInternalServerError)
		return nil, id, false
	}
	return of.server, of.identity, of.server.admit(w, r, of.identity.Principal)
}

// admit takes a slot for a connection of a principal, after the delay of handshakes. If there is none,
// it answers the request and returns false.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, principal string) bool {
	if !s.awaitHandshake(r.Context(), principal) {
		return false
	}
	refused := s.takeSlot(principal)
	if refused == "" {
		return true
	}
	s.refusals.refuse(s.peerOf(r), r.RemoteAddr, &access.Refusal{Status: http.StatusServiceUnavailable, Reason: refused})
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	http.Error(w, refused, http.StatusServiceUnavailable)
	return false
}

// Defaults returns what commands get that an execute leaves out.
func (c *Caller) Defaults() *Defaults { return &c.server.o.Defaults }

// Bounds returns the bounds of the server, as connected reports them.
func (c *Caller) Bounds() rpc.Bounds { return c.server.bounds() }
