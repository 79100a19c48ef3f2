package client

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// Execute starts a session. Params with Wait are not supported: use Call. If the params have no
// session id, Execute chooses one: then it receives all events, and can send the request again
// after a reconnect without starting a second session. If the context ends before the reply, a
// session that may have been started is canceled, unless the params have an id, since a session of
// that id may have existed before.
func (c *Client) Execute(ctx context.Context, p rpc.ExecuteParams, events Events) (*Session, error) {
	hasID := p.SessionID != ""
	if !hasID {
		p.SessionID = uuid.NewString()
	}
	s := newSession(c, p.SessionID, events, p.SlowClient)
	if s.queue != nil {
		p.Window = &s.events.Window
	}
	if err := s.attach(func() error { return c.CallIdempotent(ctx, rpc.MethodExecute, p, &s.result) }); err != nil {
		if conn := c.currentConnection(); conn != nil && !hasID && ctx.Err() != nil {
			conn.post(rpc.MethodCancel, rpc.CancelParams{SessionID: p.SessionID})
		}
		return nil, err
	}
	return s, nil
}

// Attach attaches to a session, and delivers its events after p.AfterSeq. If p.SessionID is a name,
// Attach asks for the id first. With p.Screen the first event is a screen, see Events.Screen; a reconnect
// continues after the newest event, without one.
func (c *Client) Attach(ctx context.Context, p rpc.AttachParams, events Events) (*Session, rpc.AttachResult, error) {
	var result rpc.AttachResult
	if err := c.resolveName(ctx, &p.SessionID); err != nil {
		return nil, result, err
	}
	s := newSession(c, p.SessionID, events, p.SlowClient)
	s.seq, s.wantsScreen = p.AfterSeq, p.Screen
	if s.queue != nil {
		p.Window = &s.events.Window
	}
	err := s.attach(func() error {
		err := c.CallIdempotent(ctx, rpc.MethodAttach, p, &result)
		if err == nil {
			s.limitSeq(result.LastSeq)
		}
		return err
	})
	if err != nil {
		return nil, result, err
	}
	if result.State == "ended" && p.AfterSeq >= result.LastSeq && !p.Screen { // the server sends no event
		rec, err := c.completion(ctx, s.id)
		c.removeSession(s)
		s.finish(rec, err)
	}
	return s, result, nil
}

// completion returns the completion record of a session that has ended, or why it was not started.
func (c *Client) completion(ctx context.Context, id string) (*rpc.Completion, error) {
	var rec rpc.Completion
	if err := c.CallIdempotent(ctx, rpc.MethodWait, rpc.WaitParams{SessionID: id}, &rec); err != nil {
		return nil, err
	}
	return &rec, nil
}

func newSession(c *Client, id string, events Events, slowClient string) *Session {
	s := &Session{
		c:            c,
		id:           canonicalID(id),
		events:       events,
		dropWhenSlow: slowClient == rpc.SlowClientDrop,
		writer:       newWriter(c),
		done:         make(chan struct{}),
	}
	if events.Readers && s.events.Window == 0 {
		s.events.Window = DefaultWindow
	}
	if s.events.Window > 0 {
		s.queue = newReceiveQueue(s)
	}
	if events.Raw != nil {
		c.wantRaw.Store(true)
	}
	return s
}

// resolveName replaces the name of a session, NAME or PRINCIPAL/NAME, by the id that events have.
func (c *Client) resolveName(ctx context.Context, id *string) error {
	if !rpc.ValidName((*id)[strings.LastIndexByte(*id, '/')+1:]) {
		return nil
	}
	var st rpc.StatusResult
	err := c.CallIdempotent(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: *id}, &st)
	if err == nil {
		*id = st.SessionID
	}
	return err
}

// canonicalID returns the form of a session id that the server uses in events, which is lower case.
// An id that is not a UUID is returned unchanged, and refused by the server.
func canonicalID(id string) string {
	if u, err := uuid.Parse(id); err == nil && len(id) == len(u.String()) {
		return u.String()
	}
	return id
}

// attach registers the session and makes the call that attaches the client to it.
func (s *Session) attach(call func() error) error {
	if err := s.c.addSession(s); err != nil {
		return err
	}
	if s.queue != nil && !s.events.Readers {
		go s.queue.dispatch()
	}
	if err := call(); err != nil {
		s.c.removeSession(s)
		s.finish(nil, err)
		return err
	}
	s.mu.Lock()
	s.attached = true
	again := s.mustReattach
	s.mu.Unlock()
	for again {
		conn, err := s.c.awaitConnection(s.c.ctx)
		if err != nil {
			return nil // the session has failed with the same error
		}
		again = errors.Is(s.attachOn(s.c.ctx, conn), ErrClosed)
	}
	return nil
}

// attachParams returns the params of an attach on conn after the last event that was received. Ok
// is false if the session has ended, or the call that attaches to it has not returned yet.
func (s *Session) attachParams(conn *connection) (p rpc.AttachParams, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return p, false
	default:
	}
	p = rpc.AttachParams{SessionID: s.id, AfterSeq: s.seq}
	if s.wantsScreen {
		p.AfterSeq, p.Screen = 0, true
	}
	if s.dropWhenSlow {
		p.SlowClient = rpc.SlowClientDrop
	}
	if s.queue != nil {
		p.Window = s.queue.startWindow(conn, s.seq)
	}
	s.mustReattach = !s.attached
	return p, s.attached
}

// attachOn attaches to the session on another connection, after the last event that was received.
func (s *Session) attachOn(ctx context.Context, conn *connection) error {
	p, ok := s.attachParams(conn)
	if !ok {
		return nil
	}
	err := conn.call(ctx, rpc.MethodAttach, p, nil)
	var refused *rpc.Error
	if errors.As(err, &refused) { // the session does not exist, or its record was discarded
		s.c.removeSession(s)
		s.fail(err)
		return nil
	}
	if err == nil {
		s.setReattachedOn(conn)
	}
	return err
}
