//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// ledger has every session that a client asked for, and its completion record as clients saw it. It
// may be used concurrently.
type ledger struct {
	mu       sync.Mutex
	sessions map[sessionKey]*entry
	faults   []string
}

// sessionKey names a session: ids belong to the principal.
type sessionKey struct{ principal, id string }

// entry is one session of the ledger.
type entry struct {
	what string // the action that asked for it
	// started is set if the server said so. A session whose execute has no reply, because the
	// connection was lost, may have been started too.
	started bool
	refused bool
	record  string // the completion record, as JSON without the output that wait adds
	reason  string
}

const maxFaults = 20

func newLedger() *ledger { return &ledger{sessions: make(map[sessionKey]*entry)} }

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sessions)
}

// clear removes all sessions, which have ended and were checked.
func (l *ledger) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.sessions)
}

// ask adds a session for which an execute is about to be sent.
func (l *ledger) ask(key sessionKey, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[key] == nil {
		l.sessions[key] = &entry{what: what}
	}
}

// answer notes the result of an execute.
func (l *ledger) answer(key sessionKey, err error) {
	var refusal *rpc.Error
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.sessions[key]
	switch {
	case err == nil:
		e.started, e.refused = true, false
	case errors.As(err, &refusal):
		e.refused = !e.started // it may have been sent on another connection, too
	}
}

// completed notes a completion record that a connection received.
func (l *ledger) completed(key sessionKey, rec *rpc.Completion) {
	text, _ := json.Marshal(rec)
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.sessions[key]
	switch {
	case e == nil:
		l.fault("the record of an unknown session: %s", text)
	case rec.SessionID != key.id || rec.Principal != key.principal:
		l.fault("the record of another session than %v: %s", key, text)
	case e.record != "" && e.record != string(text):
		l.fault("two records of a session (%s): %s and %s", e.what, e.record, text)
	case !rec.SurvivorsVerified || len(rec.Survivors) > 0:
		l.fault("processes survived their session (%s): %s", e.what, text)
	default:
		e.record, e.reason = string(text), rec.Reason
	}
}

// fault adds a fault. The lock must be held.
func (l *ledger) fault(format string, args ...any) {
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// report adds a fault.
func (l *ledger) report(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault(format, args...)
}

// check fails the test if a session has no record although it was started, or has one although it
// was refused, and for each fault.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	reasons := make(map[string]int)
	for key, e := range l.sessions {
		switch {
		case e.started && e.record == "":
			l.fault("session %v (%s) was started and has no completion record", key, e.what)
		case e.refused && e.record != "":
			l.fault("session %v (%s) was refused and has a completion record: %s", key, e.what, e.record)
		case e.record != "":
			reasons[e.reason]++
		}
	}
	for _, f := range l.faults {
		t.Error(f)
	}
	t.Logf("%d sessions, with these reasons of their end: %v", len(l.sessions), reasons)
}

// records counts the completion records that one connection receives.
type records struct {
	principal
	ledger *ledger
	counts *counts
}

// counts are numbers by session id.
type counts struct {
	mu sync.Mutex
	by map[string]int
}

// newRecords counts from zero, for a new connection of the actor.
func newRecords(a *actor) records {
	return records{principal: a.principal, ledger: a.ledger, counts: &counts{by: make(map[string]int)}}
}

// raw receives every notification of a connection.
func (r *records) raw(message []byte) {
	var m struct {
		Method string
		Params rpc.Completion
	}
	// Quotes are escaped in output, so this is the member of the message.
	if !strings.Contains(string(message[:min(len(message), 80)]), `"method":"process.completed"`) || json.Unmarshal(message, &m) != nil {
		return
	}
	r.ledger.completed(r.key(m.Params.SessionID), &m.Params)
	r.counts.mu.Lock()
	defer r.counts.mu.Unlock()
	if r.counts.by[m.Params.SessionID]++; r.counts.by[m.Params.SessionID] > 1 {
		r.ledger.report("a connection received two completion records of a session: %s", message)
	}
}

// tally counts the actions. It may be used concurrently.
type tally struct {
	mu      sync.Mutex
	done    map[string]int
	refused map[string]int // the error, of actions that a bound of the server refused
}

func newTally() *tally { return &tally{done: make(map[string]int), refused: make(map[string]int)} }

func (y *tally) add(action string, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if err == nil {
		y.done[action]++
	} else {
		text, _, _ := strings.Cut(err.Error(), ":")
		y.refused[text]++
	}
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return fmt.Sprintf("done: %v; refused: %v", y.done, y.refused)
}

// check fails the test if an action was never done, or no bound was reached. A short run may be
// too short for all.
func (y *tally) check(t *testing.T, all bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, a := range soakActions {
		if all && y.done[a.name] == 0 {
			t.Errorf("%s was never done", a.name)
		}
	}
	if all && len(y.refused) == 0 {
		t.Error("no bound of the server was reached")
	}
}

// refused reports whether an error is one that a server at its limits may answer.
func refused(err error) bool {
	var call *rpc.Error
	var upgrade *client.RefusedError
	switch {
	case errors.As(err, &call):
		return call.Code == rpc.CodeSessionLimit || call.Code == rpc.CodeOverloaded
	case errors.As(err, &upgrade):
		return upgrade.Status == 503
	}
	return errors.Is(err, errNoConnection)
}
