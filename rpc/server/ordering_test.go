//go:build linux

package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/session"
)

// serveEndedBeforeReply starts a service in which the session of an execute has ended before the
// reply is sent.
func serveEndedBeforeReply(t *testing.T) (s *service) {
	s = serve(t, func(set *settings) {
		set.Checkpoint = func(name string) {
			if name != "begun" {
				return
			}
			// The log has all events before the reply is sent.
			newest, err := s.registry.ListBefore("user", 0, 1, session.AllSessions)
			if err != nil || len(newest) == 0 {
				t.Error("no session", err)
				return
			}
			select {
			case <-newest[0].Done():
			case <-time.After(testTimeout):
				t.Error("the session does not end")
			}
		}
	})
	return s
}

// TestExecuteReplyComesBeforeEvents: the reply to an execute is ahead of its events.
func TestExecuteReplyComesBeforeEvents(t *testing.T) {
	p := serveEndedBeforeReply(t).dial(t)
	for range 40 {
		id := p.request("execute", object{"command": []string{"echo", "hi"}})
		var order []string
		for {
			m := p.any()
			if m.Method == "" && string(m.ID) == id {
				m.Method = "reply"
			}
			order = append(order, m.Method)
			if m.Method == "process.completed" {
				break
			}
		}
		if want := []string{"reply", "process.started", "process.output", "process.completed"}; !slices.Equal(order, want) {
			t.Fatalf("%v", order)
		}
	}
}

// TestExecuteWithWaitReplyComesAfterEvents: a reply with the output is after the same events.
func TestExecuteWithWaitReplyComesAfterEvents(t *testing.T) {
	p := serveEndedBeforeReply(t).dial(t)
	for range 30 {
		id := p.request("execute", object{"command": "echo hi", "wait": true, "stream": true})
		var order []string
		for len(order) == 0 || order[len(order)-1] != "reply" {
			m := p.any()
			if string(m.ID) == id {
				m.Method = "reply"
			}
			order = append(order, m.Method)
		}
		if want := []string{"process.started", "process.output", "process.completed", "reply"}; !slices.Equal(order, want) {
			t.Fatalf("%v", order)
		}
	}
}

// TestWaitReplyComesAfterEvents: a reply with a completion record is after the events.
func TestWaitReplyComesAfterEvents(t *testing.T) {
	p := serveEndedBeforeReply(t).dial(t)
	for range 8 {
		session := uuid.NewString()
		p.request("execute", object{"command": "yes | head -c 300000", "session_id": session})
		p.request("wait", object{"session_id": session, "capture_bytes": 1000})
		x := &transcript{id: session}
		p.reply(fmt.Sprintf(`"r%d"`, p.ids-1))
		for x.record == nil {
			m := p.any()
			if m.Method == "" {
				t.Fatalf("the reply to wait arrived at %d", x.seq)
			}
			if err := x.take(m); err != nil {
				t.Fatal(err)
			}
		}
		p.reply(fmt.Sprintf(`"r%d"`, p.ids))
	}
}

// TestEventsComeInOrder: each state event is at its position, after earlier output and before
// later output.
func TestEventsComeInOrder(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	session := uuid.NewString()
	p.start(object{"command": `while read x; do echo "$x"; done; echo bye >&2`, "stdin": "pipe", "session_id": session})
	say := func(line string) {
		p.ok("write", object{"data": line + "\n"}, nil)
	}
	x := &transcript{id: session}
	heard := func(line string) {
		t.Helper()
		for !strings.HasSuffix(x.stdout(), line+"\n") {
			if err := x.take(p.next(line, func(m *message) bool { return m.session == session })); err != nil {
				t.Fatal(err)
			}
		}
	}
	say("one")
	heard("one")
	p.ok("control", object{"type": "PAUSE"}, nil)
	say("two") // the process is stopped and does not read it
	p.ok("control", object{"type": "RESUME"}, nil)
	heard("two")
	p.ok("control", object{"type": "PAUSE"}, nil)
	p.ok("control", object{"type": "RESUME"}, nil)
	p.ok("write", object{"data": "three\n", "eof": true}, nil)
	p.follow(x)
	got := strings.Join(x.order, " ")
	got = strings.Replace(got, "stderr stdout process.completed", "stdout stderr process.completed", 1) // two pipes, no order between them
	want := "process.started stdout process.paused process.resumed stdout process.paused process.resumed stdout stderr process.completed"
	if got != want || x.stdout() != "one\ntwo\nthree\n" || x.stderr() != "bye\n" {
		t.Errorf("%s\n%q %q", got, x.stdout(), x.stderr())
	}
}

// TestPauseStopsEverything: a paused tree writes nothing, and none of its deadlines counts.
func TestPauseStopsEverything(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	id, span := p.startPaused(500*time.Millisecond, 1, func(seconds float64) object {
		return object{"command": "echo ready; while :; do echo x; sleep 0.01; done", "timeout": seconds, "stream_timeout": seconds}
	})
	counted := func() (n int64) {
		var st struct {
			State  string
			Output struct {
				StdoutBytes int64 `json:"stdout_bytes"`
			}
		}
		p.ok("status", object{"session_id": id}, &st)
		if st.State != "paused" {
			t.Fatalf("%+v", st)
		}
		return st.Output.StdoutBytes
	}
	before := counted()
	stable := func() bool { // the server may still read what was written before the pause
		time.Sleep(50 * time.Millisecond)
		last := before
		before = counted()
		return before == last
	}
	eventually(t, "all output was read", stable)
	time.Sleep(span + span/2) // nothing is written and no deadline expires
	if after := counted(); after != before {
		t.Errorf("wrote %d bytes while paused", after-before)
	}
	p.ok("control", object{"type": "RESUME"}, nil)
	if rec := p.completed(id); !strings.HasSuffix(rec.Reason, "timeout") || rec.Status != "failed" {
		t.Errorf("%+v", rec)
	}
}

// TestRepliesAreAheadOfOutput: of all output that the kernel has not taken yet, from any number
// of sessions.
func TestRepliesAreAheadOfOutput(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	_ = p.tcp.SetReadBuffer(32 << 10)
	var ids []string
	for range 24 { // each has a log of 1 MiB
		ids = append(ids, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"execute","params":{"command":"yes"}}`, len(ids)))
	}
	p.send("[%s]", strings.Join(ids, ","))
	eventually(t, "all sessions run", func() bool { return s.registry.Running() == 24 })
	most := 0
	for range 10 {
		time.Sleep(50 * time.Millisecond) // the client is slow: all is full
		id := p.request("list", nil)
		bytes := 0
		p.next("reply", func(m *message) bool {
			if m.Method == "" && string(m.ID) == id {
				return true
			}
			bytes += len(m.text)
			return false
		})
		p.pending = nil
		most = max(most, bytes)
	}
	// The kernel takes at most 4 MiB, and some are sent until the server has read the request. The
	// logs have twice the bound.
	if most > 12<<20 {
		t.Errorf("%d KiB before a reply", most>>10)
	}
}

// TestSessionsAreScheduledRoundRobin: a session that always has more output does not delay that
// of another. The client is slower than the output, or there would be moments without.
func TestSessionsAreScheduledRoundRobin(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	p.start(object{"command": "yes"})
	id := p.start(object{"command": "while read x; do echo $x; done", "stdin": "pipe"})
	p.pending = nil
	most := 0
	for i := range 20 {
		p.request("write", object{"session_id": id, "data": fmt.Sprintf("%d\n", i)})
		before := 0
		p.next("the echo", func(m *message) bool {
			if m.session == id && m.Method == "process.output" {
				return true
			}
			if before += len(m.text); before > 64<<20 {
				t.Fatalf("%d MiB, and no echo", before>>20)
			}
			time.Sleep(time.Millisecond)
			return false
		})
		p.pending = nil
		most = max(most, before)
	}
	if most > 8<<20 { // what the kernel takes at most, and some
		t.Errorf("%d KiB before an echo", most>>10)
	}
}
