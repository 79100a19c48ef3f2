package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// Events are told what happens to a session, in order, and must not call the client and wait for it. A nil
// one is not told.
type Events struct {
	Output func(*Output)
	Gap    func(rpc.Gap)
	// State is told of process.started, .paused, .resumed and .canceled.
	State func(rpc.StateEvent)
}

// Session is a command that this connection runs. Its methods may be called concurrently.
type Session struct {
	c      *Client
	id     string
	result rpc.ExecuteResult
	events Events

	once   sync.Once
	done   chan struct{}
	record *rpc.Completion
	err    error
}

// Execute starts a session whose events are told to events. Params that wait are not for it: use Call. The
// session's id is chosen here if the params have none, so that no event is missed.
func (c *Client) Execute(ctx context.Context, p rpc.ExecuteParams, events Events) (*Session, error) {
	if p.SessionID == "" {
		p.SessionID = uuid.NewString()
	}
	s := &Session{c: c, id: p.SessionID, events: events, done: make(chan struct{})}
	c.mu.Lock()
	if c.sessions == nil {
		c.mu.Unlock()
		return nil, c.failure()
	}
	if c.sessions[s.id] != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %s", ErrFollowed, s.id)
	}
	c.sessions[s.id] = s
	c.mu.Unlock()
	if err := c.Call(ctx, rpc.MethodExecute, p, &s.result); err != nil {
		c.forget(s)
		return nil, err
	}
	return s, nil
}

func (c *Client) forget(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.id] == s {
		delete(c.sessions, s.id)
	}
}

// ID is the session's id.
func (s *Session) ID() string { return s.id }

// Started is what the server answered to the execute.
func (s *Session) Started() rpc.ExecuteResult { return s.result }

// Done is closed when the session has ended, or its connection is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Wait waits for the completion record. All events have been told when it returns.
func (s *Session) Wait(ctx context.Context) (*rpc.Completion, error) {
	select {
	case <-s.done:
		return s.record, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// WriteBytes feeds the session's stdin; eof closes it behind data. It returns when the server has accepted
// all of it, in as many messages as it takes.
func (s *Session) WriteBytes(ctx context.Context, data []byte, eof bool) error {
	const envelope, swell = 1 << 10, 6 // JSON makes up to six bytes of one
	most := max(1, (int(s.c.connected.Limits.MaxMessageBytes)-envelope)/swell)
	for len(data) > most {
		if err := s.write(ctx, data[:most], false); err != nil {
			return err
		}
		data = data[most:]
	}
	return s.write(ctx, data, eof)
}

func (s *Session) write(ctx context.Context, data []byte, eof bool) error {
	p := rpc.WriteParams{SessionID: s.id, Data: string(data), EOF: eof}
	if !utf8.Valid(data) {
		p.Data, p.Encoding = base64.StdEncoding.EncodeToString(data), rpc.EncodingBase64
	}
	return s.c.Call(ctx, rpc.MethodWrite, p, nil)
}

// Control pauses, resumes or cancels the session: rpc.ControlPause, and so on.
func (s *Session) Control(ctx context.Context, typ string) error {
	return s.c.Call(ctx, rpc.MethodControl, rpc.ControlParams{SessionID: s.id, Type: typ}, nil)
}

// Signal sends a signal by its name, SIGINT, to the whole tree.
func (s *Session) Signal(ctx context.Context, name string) error {
	p := rpc.ControlParams{SessionID: s.id, Type: rpc.ControlSignal, Signal: name}
	return s.c.Call(ctx, rpc.MethodControl, p, nil)
}

func (s *Session) output(o *Output) {
	if s.events.Output != nil {
		s.events.Output(o)
	}
}

func (s *Session) event(method string, params []byte) {
	switch method {
	case rpc.NotifyCompleted:
		var rec rpc.Completion
		if err := json.Unmarshal(params, &rec); err != nil {
			s.end(nil, err)
			return
		}
		s.end(&rec, nil)
		s.c.forget(s)
	case rpc.NotifyGap:
		var g rpc.Gap
		if s.events.Gap != nil && json.Unmarshal(params, &g) == nil {
			s.events.Gap(g)
		}
	default:
		var e rpc.StateEvent
		if s.events.State != nil && json.Unmarshal(params, &e) == nil {
			s.events.State(e)
		}
	}
}

func (s *Session) end(rec *rpc.Completion, err error) {
	s.once.Do(func() {
		s.record, s.err = rec, err
		close(s.done)
	})
}

func (s *Session) lost() { s.end(nil, s.c.failure()) }
