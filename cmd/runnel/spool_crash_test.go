//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// spoolCrash is a server that is killed while sessions write, and what their clients have received.
type spoolCrash struct {
	p        *testDir
	sessions []*crashedSession
}

// crashedSession is a session of it: it appends a line to a file when it starts, and then writes a
// sequence of numbers.
type crashedSession struct {
	params rpc.ExecuteParams
	ends   bool // it writes its sequence and exits; else it writes until it is killed

	mu       sync.Mutex
	received strings.Builder
	seq      int64           // of the last output
	record   *rpc.Completion // if it was received
}

// lastNumber is the end of the sequence of a session that ends.
const lastNumber = 2000

func newSpoolCrash(t *testing.T, n int) *spoolCrash {
	x := &spoolCrash{p: newTestDir(t)}
	for i := range n {
		s := &crashedSession{ends: i%5 == 0}
		command := fmt.Sprintf("echo x >>%s; ", x.p.path(fmt.Sprintf("ran.%d", i)))
		switch {
		case s.ends:
			command += fmt.Sprintf("seq %d; exit 3", lastNumber)
		case i%5 == 1: // little output: it never leaves the window
			command += "seq 100; exec sleep 1000"
		default:
			command += "exec seq 1000000000"
		}
		s.params = rpc.ExecuteParams{
			Command: rpc.Command{Shell: command}, SessionID: uuid.NewString(), OnDisconnect: rpc.OnDisconnectKeep,
		}
		x.sessions = append(x.sessions, s)
	}
	return x
}

// execute starts all sessions, each attached.
func (x *spoolCrash) execute(t *testing.T) {
	t.Helper()
	c := dialSocket(t, x.p.socket())
	for _, s := range x.sessions {
		session, err := c.Execute(t.Context(), s.params, client.Events{Output: s.receive})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if r, err := session.Wait(t.Context()); err == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.record = r
			}
		}()
	}
}

func (s *crashedSession) receive(o *client.Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received.Write(o.Data)
	s.seq = o.Seq
}

// hasEnough reports whether the client has received what makes the test worthwhile.
func (s *crashedSession) hasEnough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received.Len() > 0 && (!s.ends || s.record != nil)
}

// TestSpoolAfterACrash: after the server was killed while sessions wrote, the next one answers for all of
// them: each record is true or says that the session was lost, the output is what the command wrote up to a
// position that no client was beyond, and no command runs again.
func TestSpoolAfterACrash(t *testing.T) {
	t.Parallel()
	x := newSpoolCrash(t, rounds(40, 100))
	server, _ := x.p.serve(t, "--replay-bytes=128KiB", "--max-sessions=200")
	x.execute(t)
	if !poll(func() bool {
		for _, s := range x.sessions {
			if !s.hasEnough() {
				return false
			}
		}
		return true
	}) {
		t.Fatal("not all sessions have written")
	}
	server.signal(syscall.SIGKILL)
	<-server.done
	next, _ := x.p.serve(t, "--replay-bytes=128KiB")
	c := dialSocket(t, x.p.socket())
	for i, s := range x.sessions {
		s.check(t, c)
		var again rpc.ExecuteResult
		if err := c.Call(t.Context(), rpc.MethodExecute, s.params, &again); err != nil || again.Created {
			t.Errorf("execute again: %+v, %v", again, err)
		}
		if n := countLines(x.p.path(fmt.Sprintf("ran.%d", i))); n != 1 {
			t.Errorf("command %d ran %d times", i, n)
		}
		other := s.params
		other.Command = rpc.Command{Shell: "echo other"}
		if err := c.Call(t.Context(), rpc.MethodExecute, other, nil); !hasCode(err, rpc.CodeSessionExists) {
			t.Errorf("another command with the id: %v", err)
		}
	}
	status := x.p.runnel(t, "status", x.sessions[1].params.SessionID).readAll() // of one that did not end
	for _, want := range []string{"reason   lost", "ran for  unknown", "output   unknown", "exit     unknown"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in the status:\n%s", want, status)
		}
	}
	if strings.Contains(next.stderrText(), "skipped") || strings.Contains(next.stderrText(), "not recovered") {
		t.Error(next.stderrText())
	}
}

// check compares what the next server has of a session with what the client of the killed one has received.
func (s *crashedSession) check(t *testing.T, c *client.Client) {
	t.Helper()
	id := s.params.SessionID
	var status rpc.StatusResult
	var record rpc.Captured
	err := errors.Join(
		c.Call(t.Context(), rpc.MethodStatus, rpc.SessionParams{SessionID: id}, &status),
		c.Call(t.Context(), rpc.MethodWait, rpc.WaitParams{SessionID: id}, &record),
	)
	if err != nil {
		t.Error(err)
		return
	}
	if status.State != "ended" {
		t.Errorf("the state is %q", status.State)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case record.Reason == rpc.ReasonLost:
		if s.record != nil || record.ExitCode != nil || record.Signal != nil {
			t.Errorf("lost: %+v; the client has received %+v", record.Completion, s.record)
		}
	case !s.ends || record.ExitCode == nil || *record.ExitCode != 3 || record.Reason != rpc.ReasonExited:
		t.Errorf("record %+v", record.Completion)
	}
	output, seq := readOutput(t, c, id)
	if got := s.received.String(); !strings.HasPrefix(output, got) || seq < s.seq {
		t.Errorf("%d bytes up to %d, which is not a continuation of the %d bytes up to %d that a client has received",
			len(output), seq, len(got), s.seq)
	}
	checkSequence(t, output)
	if s.record != nil && s.record.Seq != record.Seq {
		t.Errorf("the record is at %d, and was at %d", record.Seq, s.record.Seq)
	}
}

// readOutput reads the whole log, which must have no gap, and returns the output and its last position.
func readOutput(t *testing.T, c *client.Client, id string) (text string, last int64) {
	t.Helper()
	var b strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	p := rpc.ReadParams{SessionID: id}
	for {
		var r rpc.ReadResult
		if err := c.Call(ctx, rpc.MethodRead, p, &r); err != nil {
			t.Error(err)
			return b.String(), last
		}
		for _, e := range r.Events {
			switch e.Method {
			case rpc.NotifyOutput:
				var o rpc.Output
				if err := json.Unmarshal(e.Params, &o); err != nil {
					t.Fatal(err)
				}
				b.WriteString(o.Data)
				last = o.Seq
			case rpc.NotifyGap:
				t.Errorf("a gap: %s", e.Params)
			}
		}
		if r.Done {
			return b.String(), last
		}
		p.AfterSeq = r.LastSeq
	}
}

// checkSequence checks that the output is a prefix of what seq(1) writes.
func checkSequence(t *testing.T, output string) {
	t.Helper()
	lines := strings.Split(output, "\n")
	for i, line := range lines[:len(lines)-1] {
		if line != fmt.Sprint(i+1) {
			t.Errorf("line %d is %q", i+1, line)
			return
		}
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(fmt.Sprint(len(lines)), last) {
		t.Errorf("the last line is %q after %d", last, len(lines)-1)
	}
}

func hasCode(err error, code int) bool {
	var e *rpc.Error
	return errors.As(err, &e) && e.Code == code
}
