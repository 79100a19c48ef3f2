package client

import (
	"encoding/json"
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
)

// Events are the functions that receive the events of a session, in order. A nil function receives
// nothing. They must not call a method of the client and wait for it. The zero value discards all
// events; Session.Wait returns the record.
//
// With neither Window nor Readers they are called by the goroutine that reads the connection: while
// one of them blocks, no session of the client receives anything, and eventually their processes
// block. With Window they are called by a goroutine of the session, and may block for any time.
type Events struct {
	Output func(*Output)
	// Gap reports lost output. What a terminal then shows is not right any more: see Session.Repaint.
	Gap func(rpc.Gap)
	// Screen receives what a terminal shows, after an attach with Screen and after Session.Repaint. Output
	// after it continues from there.
	Screen func(rpc.Screen)
	// State receives process.started, .paused, .resumed and .canceled.
	State func(rpc.StateEvent)
	// Queued reports that the session waits for a slot (queue_timeout), possibly once more after a
	// reconnect. If the session is not started, Session.Wait returns the error, an *rpc.Error.
	Queued func(rpc.Queued)
	// Exited reports, at most once, that the leader has exited while the session continues.
	Exited func(rpc.Exited)
	// Raw is called with each notification as received, in addition. The message is valid until Raw
	// returns.
	Raw func(message []byte)
	// Window is how many bytes of output may be in transit or in the session's queue, where each
	// state event counts 1; then the server sends no more events of this session. It replaces the
	// window of the params. 0 means no window.
	Window int64
	// Readers provides the output through Session.Reader instead of Output. If Window is 0, it is
	// DefaultWindow.
	Readers bool
}

// DefaultWindow is the window, in bytes, of sessions with Readers whose Window is 0.
const DefaultWindow = 1 << 20

// output is called by the goroutine that reads.
func (s *Session) output(o *Output, raw []byte) {
	if !s.advance(o.Seq) {
		return
	}
	if s.queue != nil {
		s.queue.output(o, raw)
		return
	}
	s.events.raw(raw)
	if s.events.Output != nil {
		s.events.Output(o)
	}
}

// event is called by the goroutine that reads.
func (s *Session) event(method string, params, raw []byte, seq int64) {
	switch {
	case method == rpc.NotifyQueued, method == rpc.NotifyFailed: // before all others
	case method == rpc.NotifyExited:
		if !s.firstExit() {
			return
		}
	case method == rpc.NotifySpool: // takes no position
	case method == rpc.NotifyScreen:
		s.painted(seq)
	case !s.advance(seq):
		return
	}
	if isLast(method) { // before Done is closed, since the caller may attach again at once
		s.c.removeSession(s)
	}
	if s.queue != nil {
		s.queue.event(method, params, raw, seq)
	} else {
		s.dispatch(method, params, raw)
	}
}

// isLast reports whether no event of a session follows.
func isLast(method string) bool {
	return method == rpc.NotifyCompleted || method == rpc.NotifyFailed
}

// dispatch delivers an event other than output. The last one ends the session.
func (s *Session) dispatch(method string, params, raw []byte) {
	s.events.raw(raw)
	switch method {
	case rpc.NotifyCompleted:
		var rec rpc.Completion
		if err := json.Unmarshal(params, &rec); err != nil {
			s.finish(nil, fmt.Errorf("completion record: %w", err))
			return
		}
		s.finish(&rec, nil)
	case rpc.NotifyFailed:
		var f rpc.Failed
		if err := json.Unmarshal(params, &f); err != nil {
			s.finish(nil, fmt.Errorf("%s: %w", method, err))
			return
		}
		s.finish(nil, startError(&f.Error))
	case rpc.NotifyQueued:
		var q rpc.Queued
		if s.events.Queued != nil && json.Unmarshal(params, &q) == nil {
			s.events.Queued(q)
		}
	case rpc.NotifyGap:
		var g rpc.Gap
		if s.events.Gap != nil && json.Unmarshal(params, &g) == nil {
			s.events.Gap(g)
		}
	case rpc.NotifyScreen:
		var p rpc.Screen
		if s.events.Screen != nil && json.Unmarshal(params, &p) == nil {
			s.events.Screen(p)
		}
	case rpc.NotifyExited:
		var e rpc.Exited
		if s.events.Exited != nil && json.Unmarshal(params, &e) == nil {
			s.events.Exited(e)
		}
	default:
		var e rpc.StateEvent
		if s.events.State != nil && json.Unmarshal(params, &e) == nil {
			s.events.State(e)
		}
	}
}

// startError returns the error of process.failed as the error of a reply.
func startError(f *rpc.StartError) *rpc.Error {
	e := &rpc.Error{Code: f.Code, Message: f.Message}
	var data rpc.Data
	if json.Unmarshal(f.Data, &data) == nil && data != nil {
		e.Data = data
	}
	return e
}

func (e *Events) raw(message []byte) {
	if e.Raw != nil {
		e.Raw(message)
	}
}
