//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// startPaused executes the params of deadlines of so many seconds, whose command writes a line
// "ready", and pauses the session as often as pauses says. All but the last time it resumes it. If a
// deadline expires before that, it begins again with twice the span. It returns the span.
func (p *peer) startPaused(span time.Duration, pauses int, params func(seconds float64) object) (id string, _ time.Duration) {
	p.t.Helper()
	for ; span < testTimeout; span *= 2 {
		id = p.start(params(span.Seconds()))
		first := p.next("the first output", func(m *message) bool {
			return m.session == id && (m.Method == "process.output" || m.Method == "process.completed")
		})
		if first.Method == "process.output" && p.pause(id, pauses) {
			return id, span
		}
	}
	p.t.Fatalf("the session ends before it is paused, even after %v", span)
	return "", 0
}

// pause pauses a session n times. It returns false if the session has ended or is about to.
func (p *peer) pause(id string, n int) bool {
	p.t.Helper()
	for i := range n {
		for _, c := range []string{"RESUME", "PAUSE"} {
			if i == 0 && c == "RESUME" {
				continue
			}
			m := p.call("control", object{"session_id": id, "type": c})
			if m.Error != nil && m.Error.Data["kind"] == "not_running" {
				return false
			}
			p.good(m)
		}
	}
	return true
}

// TestDeadlinesDoNotCountPauses: neither deadline counts the time of a pause, and both continue
// after it.
func TestDeadlinesDoNotCountPauses(t *testing.T) {
	runParallel(t)
	p := serve(t).dial(t)
	for _, deadline := range []string{"timeout", "stream_timeout"} {
		id, span := p.startPaused(500*time.Millisecond, 1, func(seconds float64) object {
			return object{"command": "echo ready; exec sleep 1000", deadline: seconds, "grace": 0.1}
		})
		p.fails(-32004, "wait", object{"session_id": id, "timeout": 2 * span.Seconds()})
		p.ok("control", object{"session_id": id, "type": "RESUME"}, nil)
		if rec := p.completed(id); rec.Reason != deadline {
			t.Errorf("%s: %+v", deadline, rec)
		}
	}
}

// TestStreamDeadlineEndsTheTree guards against a silent command that runs on after stream_timeout:
// its whole tree is ended.
func TestStreamDeadlineEndsTheTree(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	treeID := "RUNNEL_TREE=" + uuid.NewString()
	begin := time.Now()
	x := p.run(object{"command": "sleep 1000 & sleep 1000", "stream_timeout": 0.3, "env": object{"RUNNEL_TREE": treeID[12:]}})
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
	if left := processesOf(treeID); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if r := x.record; r.Reason != "stream_timeout" || r.Status != "failed" || deref(r.Signal) != "SIGTERM" || r.ExitCode != nil || r.Escalated {
		t.Errorf("%+v", r)
	}
	// Output on either stream restarts the deadline.
	atAnySpeed(t, 500*time.Millisecond, func(span time.Duration) bool {
		silence := fmt.Sprint(span.Seconds() / 4)
		x = p.run(object{"command": "for i in 1 2 3 4 5 6; do sleep " + silence + "; echo x >&2; done", "stream_timeout": span.Seconds()})
		return x.record.Reason == "exited" && x.stderr() == strings.Repeat("x\n", 6)
	})
	// Without a timeout the server's default applies; null and 0 mean none.
	s = serve(t, func(set *settings) { set.Server.Defaults.StreamTimeout = 200 * time.Millisecond })
	p = s.dial(t)
	if x := p.run(object{"command": "exec sleep 1000"}); x.record.Reason != "stream_timeout" {
		t.Errorf("%+v", x.record)
	}
	for _, none := range []any{nil, 0} {
		if x := p.run(object{"command": "sleep 0.4", "stream_timeout": none}); x.record.Reason != "exited" {
			t.Errorf("%+v", x.record)
		}
	}
}

// TestBlockedCommandIsNotSilent guards against a stream_timeout that ends a command whose output is
// blocked by a slow client.
func TestBlockedCommandIsNotSilent(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	atAnySpeed(t, 300*time.Millisecond, func(span time.Duration) bool {
		id := uuid.NewString()
		p.good(p.call("execute", object{"command": "yes | head -c 6000000", "stream_timeout": span.Seconds(), "session_id": id}))
		p.pings(func() { time.Sleep(3*span + span/2) }) // and reads nothing meanwhile
		x := &transcript{id: id, hash: func(string, []byte) {}}
		p.follow(x)
		return x.record.Reason == "exited" && x.bytes["stdout"] == 6000000
	})
}
