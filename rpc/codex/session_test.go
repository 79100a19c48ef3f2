//go:build linux

package codex_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestResumeAfterLostConnections drops the connection again and again while a command writes, and checks
// that no byte of output and no event is lost or there twice, with a client that does what Codex does: it
// asks for the events after the last one that it has, and ignores those that it has.
func TestResumeAfterLostConnections(t *testing.T) {
	t.Parallel()
	const lines = 400_000
	s := serve(t, func(set *settings) {
		set.Codex.Resume, set.Codex.ClosedRetention, set.Spool = testTimeout, testTimeout, true
	})
	c := s.client()
	c.start("p", fmt.Sprintf("seq %d; exit 9", lines))
	sum, last, drops, code := sha256.New(), int64(0), 0, -1
	take := func(e event) (closed bool) {
		switch {
		case e.Seq <= last: // a second time
			return false
		case e.Seq != last+1:
			t.Fatalf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
		switch e.Method {
		case "process/output":
			sum.Write(e.Chunk)
		case "process/exited":
			code = e.ExitCode
		default:
			return true
		}
		return false
	}
	for i := 1; ; i++ {
		if take(c.event()) {
			break
		}
		if i%7 != 0 || drops == 20 {
			continue
		}
		drops++
		id := c.session
		c.drop()
		c = s.connect("")
		resume(c, id)
		r := c.readFrom("p", last, nil)
		if r.Failure != nil {
			t.Fatal(*r.Failure)
		}
		early := c.events
		c.events = nil
		for _, chunk := range r.Chunks {
			take(event{Method: "process/output", Seq: chunk.Seq, Chunk: chunk.Chunk})
		}
		if r.Exited && last < r.NextSeq-1 {
			code = *r.ExitCode
			last++
		}
		if r.Closed {
			break
		}
		for _, e := range early { // what came before the answer may be behind a gap, which is sent again
			if e.Seq == last+1 {
				take(e)
			}
		}
	}
	want := sha256.New()
	for i := range lines {
		_, _ = io.WriteString(want, fmt.Sprintln(i+1))
	}
	if code != 9 || string(sum.Sum(nil)) != string(want.Sum(nil)) {
		t.Errorf("exit code %d, output differs: %v", code, string(sum.Sum(nil)) != string(want.Sum(nil)))
	}
	if drops == 0 {
		t.Error("no connection was dropped")
	}
}

// testOutputWithoutAConnection checks that what a command writes while its client has no connection is kept.
func testOutputWithoutAConnection(t *testing.T, s *service) {
	if !s.codex {
		s = serve(t, func(set *settings) { set.Codex.Resume, set.Spool = testTimeout, true })
	}
	c := s.client()
	file := filepath.Join(t.TempDir(), "done")
	c.start("p", "seq 400000; touch "+file+"; echo end; sleep 1000")
	c.drop()
	if s.codex { // here the command waits while the log is full
		eventually(t, "the output has ended", func() bool { _, err := os.Stat(file); return err == nil })
	}
	d := s.connect("")
	resume(d, c.session)
	size, end := 0, ""
	for next := int64(1); end != "end\n"; {
		r := d.readFrom("p", next-1, map[string]any{"waitMs": 10000})
		for _, chunk := range r.Chunks {
			size += len(chunk.Chunk)
			end += string(chunk.Chunk)
			end = end[max(0, len(end)-len("end\n")):]
		}
		next = r.NextSeq
	}
	s.expect(t, "all output is kept", size == 2688895+len("end\n"), true)
	if !d.terminate("p") {
		t.Error("it does not run")
	}
}

// TestSessionOfAnother checks who may resume a session, and that it is attached to one connection.
func TestSessionOfAnother(t *testing.T) {
	t.Parallel()
	s := serve(t, func(set *settings) { set.Codex.Resume = testTimeout })
	c := s.client()
	c.start("p", "sleep 1000")
	resumed := func(id string) map[string]any { return map[string]any{"clientName": "x", "resumeSessionId": id} }
	other := s.connect("other")
	unknown := other.refused("initialize", resumed(strings.Repeat("0", 36)), -32600)
	if text := other.refused("initialize", resumed(c.session), -32600); text != strings.Replace(unknown, strings.Repeat("0", 36), c.session, 1) {
		t.Errorf("%q tells of the session", text)
	}
	same := s.connect("")
	same.refused("initialize", resumed(c.session), -32010)
	c.refused("initialize", resumed(""), -32600)
	c.drop()
	resume(same, c.session)
	if !same.terminate("p") {
		t.Error("the process is gone")
	}
	if _, err := s.dial("watcher:observe"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("an observer: %v", err)
	}
}

// TestSessionExpires checks that all processes end when a session can no longer be resumed.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client()
	c.start("p", "sleep 1000")
	c.drop()
	s.idle()
	d := s.connect("")
	d.refused("initialize", map[string]any{"clientName": "x", "resumeSessionId": c.session}, -32600)
}

// TestRevokedCredential checks that the connection ends with a credential that was revoked.
func TestRevokedCredential(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client()
	s.callers.revoke("user")
	s.server.Reauthenticate()
	if _, err := c.read(); websocket.CloseStatus(err) != 4401 {
		t.Error(err)
	}
}

// TestRevokedCredentialOfASilentClient checks that the commands of a revoked credential end although the
// client does not answer the close frame, and its session could be resumed for long, and that the
// connection ends.
func TestRevokedCredentialOfASilentClient(t *testing.T) {
	t.Parallel()
	s := serve(t, func(set *settings) { set.Codex.Resume = time.Hour })
	c := s.client()
	c.start("p", "sleep 1000")
	s.callers.revoke("user")
	s.server.Reauthenticate()
	s.idle()
	_ = c.tcp.SetReadDeadline(time.Now().Add(testTimeout))
	if _, err := io.Copy(io.Discard, c.tcp); err != nil && os.IsTimeout(err) {
		t.Error("the connection is open")
	}
}

// TestExpiredCredential checks that no connection is accepted long after its credential has expired.
func TestExpiredCredential(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.callers.expires = time.Now().Add(-2 * time.Minute)
	c := s.connect("")
	if _, err := c.read(); websocket.CloseStatus(err) != 4401 {
		t.Error(err)
	}
}

// TestBoundsOfSessions checks that sessions and processes are bounded, and that a session without
// processes makes room.
func TestBoundsOfSessions(t *testing.T) {
	t.Parallel()
	s := serve(t, func(set *settings) {
		set.Codex.Resume, set.Codex.MaxSessions, set.Codex.MaxProcesses = testTimeout, 2, 2
	})
	a, b := s.client(), s.client()
	c := s.connect("")
	params := map[string]any{"clientName": "x"}
	c.refused("initialize", params, -32600)
	s.connect("other").initialize("")
	a.start("1", "sleep 1000")
	a.start("2", "sleep 1000")
	a.refused("process/start", command("3", "true"), -32600)
	a.refused("process/start", command("2", "true"), -32600)
	b.drop()
	eventually(t, "there is room", func() bool { return c.call("initialize", params).Error == nil })
	a.drop()
	d := s.connect("")
	d.refused("initialize", params, -32600)
}

// TestManyCommands checks that commands that are over count against no bound, and keep nothing.
func TestManyCommands(t *testing.T) {
	t.Parallel()
	c := serve(t, func(set *settings) { set.Codex.MaxProcesses = 2 }).client()
	for i := range 20 {
		id := fmt.Sprint("p", i)
		eventually(t, "there is room", func() bool { return c.call("process/start", command(id, "echo x")).Error == nil })
		if output, _ := c.ended(id); output != "x\n" {
			t.Fatalf("%q", output)
		}
	}
	c.refused("process/read", map[string]any{"processId": "p0"}, -32600)
}

// testTwoClients checks that two clients are independent.
func testTwoClients(t *testing.T, s *service) {
	a, b := s.client(), s.client()
	a.start("p", "echo a; exit 1")
	b.start("p", "echo b; exit 2")
	if output, code := b.ended("p"); output != "b\n" || code != 2 {
		t.Error(output, code)
	}
	if output, code := a.ended("p"); output != "a\n" || code != 1 {
		t.Error(output, code)
	}
}
