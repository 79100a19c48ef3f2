package server

import (
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc/audit"
)

const (
	// repeatPause is the shortest time between two lines of the audit log about requests that are
	// merged.
	repeatPause = time.Second
	// maxRepeats bounds a table of repeats. Beyond it, requests are counted without what they name, and
	// refused ones by event, code and kind of the error, of which there are few.
	maxRepeats = 1024
)

// repeats merges lines of the audit log that clients can cause at any rate: those of refused
// requests, and of reads by administrators and observers. The first one of its kind is written at
// once, as a whole. Those that follow within repeatPause are counted, and their number is written at
// its end, so that each request is in a line. The methods may be called concurrently.
type repeats struct {
	log *audit.Log

	mu    sync.Mutex
	lines map[repeatKey]*repeated
	timer flushTimer
}

// repeatKey is what requests have in common whose lines are merged. It has nothing that a client can
// choose freely, except the session of a use, which exists.
type repeatKey struct {
	kind   auditedKind
	action string

	// Of a refused request.
	principal string
	peer      refusedPeer
	code      int
	rule      string // the error's kind, if it has no rule

	// Of a use. The table is that of a connection.
	credential string
	session    audit.Session
}

// auditedKind is the event of a line that is merged.
type auditedKind uint8

const (
	executeLine auditedKind = iota
	controlLine
	attachLine
	renewalLine
)

// auditedRequest is what a line has that is not the first one of its kind.
type auditedRequest struct {
	kind    auditedKind
	action  string
	caller  audit.Caller
	session audit.Session
	err     audit.Error
}

// repeated is an element of the table. It is removed when nothing was counted for repeatPause.
type repeated struct {
	newest auditedRequest
	count  int // since the last line
}

func newRepeats(l *audit.Log) *repeats {
	t := &repeats{log: l, lines: make(map[repeatKey]*repeated)}
	t.timer = flushTimer{flush: t.flush, pause: repeatPause}
	return t
}

// merge counts a request. It returns true if it is the first one of its kind, of which the caller
// writes the line.
func (t *repeats) merge(key repeatKey, x auditedRequest) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer.closed {
		return true
	}
	e := t.lines[key]
	if e == nil && len(t.lines) >= maxRepeats {
		key, x = overflow(x)
		if e = t.lines[key]; e == nil {
			e = &repeated{}
			t.lines[key] = e
		}
	}
	if e != nil {
		e.newest, e.count = x, e.count+1
		return false
	}
	t.lines[key] = &repeated{}
	t.timer.added()
	return true
}

// overflow returns the key of requests for which there is no room, and what their line has. The line
// of refused ones has code and kind: without an error, it would be that of requests that were accepted.
func overflow(x auditedRequest) (repeatKey, auditedRequest) {
	x.session = audit.Session{}
	if x.err.Code != 0 { // of any principal, and by any rule
		x = auditedRequest{kind: x.kind, err: audit.Error{Code: x.err.Code, Kind: x.err.Kind}}
	}
	return repeatKey{kind: x.kind, action: x.action, code: x.err.Code, rule: x.err.Kind}, x
}

// flush writes what was counted, and removes the elements that are not needed any more.
func (t *repeats) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.lines {
		if e.count == 0 {
			delete(t.lines, key)
			continue
		}
		t.log.Write(e.newest.line(e.count)) // does not wait; under the lock, so that it is before the line of close's caller
		*e = repeated{}
	}
	t.timer.flushed(len(t.lines))
}

// close writes what was not written yet. No timer is started afterwards.
func (t *repeats) close() {
	t.mu.Lock()
	t.timer.close()
	t.mu.Unlock()
	t.flush()
}

// line returns the line that stands for so many requests.
func (x *auditedRequest) line(count int) audit.Event {
	switch x.kind {
	case executeLine:
		return &audit.Execute{Caller: x.caller, Session: x.session, Error: x.err, Count: count}
	case controlLine:
		return &audit.Control{Caller: x.caller, Session: x.session, Action: x.action, Error: x.err, Count: count}
	case renewalLine:
		return &audit.Connection{Caller: x.caller, Action: audit.ActionAuthenticate, Error: x.err, Count: count}
	default:
		return &audit.Attach{Caller: x.caller, Session: x.session, Action: x.action, Error: x.err, Count: count}
	}
}

// repeatedRefusal reports whether the line of a refused request is merged with others. Without an
// error it is not.
func (r *request) repeatedRefusal(kind auditedKind, action string, err audit.Error) bool {
	if err.Code == 0 {
		return false
	}
	c := r.conn
	key := repeatKey{kind: kind, action: action, principal: c.principal, peer: c.from.key(), code: err.Code, rule: err.Rule}
	if key.rule == "" {
		key.rule = err.Kind
	}
	x := auditedRequest{kind: kind, action: action, caller: c.auditedCaller(), err: err}
	return !c.server.audited.merge(key, x)
}

// repeatedUse reports whether the line of a use of the right to read is merged with others. Only the
// goroutine that reads calls it.
func (r *request) repeatedUse(action string, of audit.Session) bool {
	a := &r.conn.audit
	if a.uses == nil {
		a.uses = newRepeats(a.log)
	}
	x := auditedRequest{kind: attachLine, action: action, caller: r.conn.auditedCaller(), session: of}
	return !a.uses.merge(repeatKey{kind: x.kind, action: action, credential: x.caller.Credential, session: of}, x)
}
