//go:build linux

package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/session"
)

// oneSlot makes a server with a single slot.
func oneSlot(set *settings) { set.Session.MaxSessions = 1 }

// queued executes and returns the id of the new session, which waits for a slot.
func (p *peer) queued(params object) string {
	p.t.Helper()
	if _, set := params["queue_timeout"]; !set {
		params = with(params, "queue_timeout", 1000)
	}
	var r rpc.QueuedResult
	p.ok("execute", params, &r)
	if r.Status != "queued" || !r.Created {
		p.t.Fatalf("execute: %+v", r)
	}
	p.event("process.queued", r.SessionID)
	return r.SessionID
}

// failed waits for the process.failed of a session, and returns its error.
func (p *peer) failed(id string) rpc.StartError {
	p.t.Helper()
	var f rpc.Failed
	p.decode(p.event("process.failed", id).Params, &f)
	return f.Error
}

// TestQueueTimeoutParam: 0 does not wait, null waits without a limit, other values than times are refused.
func TestQueueTimeoutParam(t *testing.T) {
	s := serve(t, oneSlot)
	p := s.dial(t)
	busy := p.start(sleeper)
	for _, bad := range []string{"-1", "1e400", "-0.001", "1e10", `"1"`, "true", "[]"} {
		e := p.fails(rpc.CodeInvalidParams, "execute", `{"command":"true","queue_timeout":`+bad+`}`)
		if e.Data["field"] != "queue_timeout" {
			t.Errorf("%s: %+v", bad, e)
		}
	}
	for _, none := range []string{"0", "0.0", "-0"} {
		p.fails(rpc.CodeSessionLimit, "execute", `{"command":"true","queue_timeout":`+none+`}`)
	}
	for _, long := range []any{nil, 1e9} {
		p.queued(object{"command": "true", "queue_timeout": long})
	}
	shortest := p.call("execute", object{"command": "true", "queue_timeout": 1e-300})
	if shortest.Error == nil { // else the time was over before the reply
		var r rpc.QueuedResult
		p.decode(shortest.Result, &r)
		if e := p.failed(r.SessionID); e.Code != rpc.CodeSessionLimit {
			t.Errorf("%+v", e)
		}
	} else {
		p.bad(rpc.CodeSessionLimit, shortest)
	}
	p.ok("cancel", object{"session_id": busy}, nil)
	s.idle()
}

// TestPolicyDecidesBeforeTheQueue: what is forbidden is not queued.
func TestPolicyDecidesBeforeTheQueue(t *testing.T) {
	s := serve(t, oneSlot, func(set *settings) {
		set.Server.Restrict = func(_ access.Identity, p *rpc.ExecuteParams, _ *session.Spec) error {
			if p.Command.Shell == "forbidden" {
				return rpc.Forbidden("command", "command")
			}
			return nil
		}
	})
	p := s.dial(t)
	p.start(sleeper)
	p.fails(rpc.CodeForbidden, "execute", object{"command": "forbidden", "queue_timeout": 1000})
	p.queued(object{"command": "true"})
}

// TestControlOfQueuedSession: a PAUSE waits for the start of a queued session. It fails if the session
// does.
func TestControlOfQueuedSession(t *testing.T) {
	s := serve(t, oneSlot)
	p := s.dial(t)
	busy := p.start(sleeper)
	runs := p.queued(sleeper)
	fails := p.queued(sleeper)
	pause := p.request("control", object{"session_id": runs, "type": "PAUSE"})
	never := p.request("control", object{"session_id": fails, "type": "PAUSE"})
	input := p.request("write", object{"session_id": fails, "data": "x"})
	p.ok("cancel", object{"session_id": fails}, nil)
	if e := p.bad(rpc.CodeNotRunning, p.reply(never)); e.Data["state"] != "ended" {
		t.Errorf("%+v", e)
	}
	p.bad(rpc.CodeStdinClosed, p.reply(input))
	p.ok("cancel", object{"session_id": busy}, nil)
	p.good(p.reply(pause))
	p.event("process.paused", runs)
	p.ok("cancel", object{"session_id": runs}, nil)
}

// TestDrainEndsQueuedSessions: the sessions in the queue fail at once when the server drains.
func TestDrainEndsQueuedSessions(t *testing.T) {
	s := serve(t, oneSlot)
	p := s.dial(t)
	busy := p.start(sleeper)
	detached := p.queued(with(sleeper, "on_disconnect", "keep"))
	waiting := p.request("execute", with(sleeper, "queue_timeout", 1000, "wait", true))
	p.notification("process.queued")
	go s.shutdown(time.Minute)
	if e := p.failed(detached); e.Code != rpc.CodeShuttingDown {
		t.Errorf("%+v", e)
	}
	p.bad(rpc.CodeShuttingDown, p.reply(waiting))
	p.fails(rpc.CodeShuttingDown, "execute", with(sleeper, "queue_timeout", 1000))
	p.ok("cancel", object{"session_id": busy}, nil)
}

// TestRevocationEndsQueuedSessions: a revoked credential starts nothing, even if its sessions that run
// are kept.
func TestRevocationEndsQueuedSessions(t *testing.T) {
	auth := &callers{}
	s := serve(t, oneSlot, func(set *settings) { set.Server.Auth = auth })
	keep := with(sleeper, "on_disconnect", "keep")
	revoked, other := s.as(t, "alice"), s.as(t, "alice,run,3600")
	running := revoked.start(keep)
	ends := revoked.queued(keep)
	stays := other.queued(keep)
	auth.revoke("alice")
	s.server.Reauthenticate()
	revoked.closed(rpc.CloseUnauthorized)
	other.fails(rpc.CodeRequestCanceled, "wait", object{"session_id": ends})
	for id, want := range map[string]string{running: "running", ends: "ended", stays: "queued"} {
		var st rpc.StatusResult
		if other.ok("status", object{"session_id": id}, &st); st.State != want {
			t.Errorf("want %s, got %+v", want, st)
		}
	}
	other.ok("cancel", object{"session_id": running}, nil)
	other.event("process.started", stays)
	other.ok("cancel", object{"session_id": stays}, nil)
}

// TestRoleChangesWhileQueued: a caller that becomes an observer is detached, and its session keeps its
// place and its own role.
func TestRoleChangesWhileQueued(t *testing.T) {
	s := serve(t, oneSlot, func(set *settings) { set.Server.Auth = &callers{} })
	p, other := s.as(t, "alice"), s.as(t, "alice")
	busy := other.start(sleeper)
	id := p.queued(object{"command": "true"})
	p.ok("authenticate", object{"token": "alice,observe"}, nil)
	p.fails(rpc.CodeForbidden, "cancel", object{"session_id": id})
	p.fails(rpc.CodeForbidden, "execute", object{"command": "true", "queue_timeout": 1000})
	waiting := p.request("wait", object{"session_id": id})
	other.ok("cancel", object{"session_id": busy}, nil)
	p.good(p.reply(waiting))
}

// TestCancelMeetsQueueTimeout lets cancels, attaches and timeouts of queued sessions meet. Each gets an
// answer that agrees with the one process.failed that each connection receives.
func TestCancelMeetsQueueTimeout(t *testing.T) {
	s := serve(t, oneSlot)
	p, other := s.dial(t), s.dial(t)
	busy := p.start(sleeper)
	for i := range 100 {
		id := uuid.NewString()
		timeout := time.Duration(i%10)*300*time.Microsecond + 1
		if i%10 == 9 {
			timeout = time.Hour // the cancel is first
		}
		params := object{"command": "true", "session_id": id, "queue_timeout": timeout.Seconds()}
		if m := p.call("execute", params); m.Error != nil { // the session has failed before the reply
			p.bad(rpc.CodeSessionLimit, m)
			continue
		}
		p.event("process.queued", id)
		attach := other.request("attach", object{"session_id": id})
		cancel := p.request("cancel", object{"session_id": id})
		e := p.failed(id)
		var r rpc.CancelResult
		p.decode(p.good(p.reply(cancel)).Result, &r)
		if want := map[int]string{rpc.CodeSessionLimit: "failed", rpc.CodeRequestCanceled: "canceled"}[e.Code]; r.Status != want {
			t.Fatalf("%+v, but the cancel is %+v", e, r)
		}
		other.good(other.reply(attach))
		if seen := other.failed(id); seen.Code != e.Code {
			t.Fatalf("attached: %+v, want %+v", seen, e)
		}
		p.fails(e.Code, "wait", object{"session_id": id})
		p.fails(e.Code, "execute", params)
	}
	for _, c := range []*peer{p, other} {
		for _, m := range c.pending {
			if m.Method == rpc.NotifyFailed {
				t.Errorf("once more: %s", m.text)
			}
		}
	}
	p.ok("cancel", object{"session_id": busy}, nil)
}

// TestClientOfQueuedSession: the Go client reports the failure of a queued session, however it learns
// of it.
func TestClientOfQueuedSession(t *testing.T) {
	runParallel(t)
	for _, window := range []int64{0, 1 << 20} {
		s := serve(t, oneSlot)
		busy := s.dial(t).start(sleeper)
		a := s.proxiedClient(t)
		var positions atomic.Int64
		events := client.Events{Window: window, Queued: func(q rpc.Queued) { positions.Add(int64(q.Position)) }}
		params := shell("true")
		params.QueueTimeout = rpc.Seconds{Set: true, Null: true}
		execute := func() *client.Session {
			t.Helper()
			before := positions.Load()
			x := a.execute(t, params, events)
			eventually(t, "process.queued", func() bool { return positions.Load() > before })
			return x
		}
		end := func(x *client.Session) {
			t.Helper()
			found, err := s.registry.Find("user", x.ID())
			if err != nil {
				t.Fatal(err)
			}
			found.End(session.Canceled, nil)
		}
		expect := func(what string, x *client.Session, code int) {
			t.Helper()
			rec, err := x.Wait(t.Context())
			if e := (*rpc.Error)(nil); !errors.As(err, &e) || e.Code != code || rec != nil {
				t.Errorf("%s: %v, %+v", what, err, rec)
			}
		}

		attached := execute()
		end(attached)
		expect("attached", attached, rpc.CodeRequestCanceled)

		lost := execute()
		a.proxy.refuse(true)
		within(t, "Dropped", a.dropped)
		end(lost)
		a.proxy.refuse(false)
		within(t, "Restored", a.restored)
		expect("reconnected", lost, rpc.CodeRequestCanceled)

		again, result, err := a.Attach(t.Context(), rpc.AttachParams{SessionID: lost.ID()}, events)
		if err != nil || result.State != "ended" {
			t.Fatal(result, err)
		}
		expect("attached afterwards", again, rpc.CodeRequestCanceled)

		runs := execute()
		a.proxy.refuse(true)
		within(t, "Dropped", a.dropped)
		found, err := s.registry.Find("user", busy)
		if err != nil {
			t.Fatal(err)
		}
		found.End(session.Canceled, nil)
		a.proxy.refuse(false)
		if rec, err := runs.Wait(t.Context()); err != nil || rec.Status != rpc.StatusCompleted {
			t.Errorf("%+v, %v", rec, err)
		}
	}
}

// TestAuditOfQueuedSessions: each session that was queued has one execute and one end, and those that
// ran a started.
func TestAuditOfQueuedSessions(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, oneSlot, a.set, func(set *settings) { set.Session.MaxQueued = 3 })
	p := s.dial(t)
	busy := p.start(sleeper)
	canceled := p.queued(object{"command": "true"})
	missing := p.queued(object{"command": []string{"/no/such/program"}})
	late := p.queued(object{"command": "true", "queue_timeout": 0.01})
	p.fails(rpc.CodeSessionLimit, "execute", object{"command": "true", "queue_timeout": 1000})
	p.failed(late)
	p.ok("cancel", object{"session_id": canceled}, nil)
	ran := p.queued(object{"command": "true"})
	p.ok("cancel", object{"session_id": busy}, nil)
	p.failed(missing)
	p.completed(ran)
	s.shutdownAfter(p)
	all := a.lines()
	for id, want := range map[string]string{
		canceled: "execute end -32800", missing: "execute end -32008", late: "execute end -32003", ran: "execute started end",
	} {
		got := ""
		for _, x := range all {
			if x.SessionID == id && x.Event != "control" {
				got += " " + x.Event
				if x.Error != nil {
					got += fmt.Sprint(" ", x.Error.Code)
				}
			}
		}
		if got != " "+want {
			t.Errorf("got%s, want %s", got, want)
		}
	}
	if refused := of(all, "execute")[4]; refused.Error == nil || refused.Error.Code != rpc.CodeSessionLimit {
		t.Errorf("%s", refused.text)
	}
}

// requiredLines opens an audit log that is required, and writes to a FIFO. Writes fail with EPIPE when
// the reader is closed.
func requiredLines(t *testing.T) (a *auditLog, fifo string, reader *os.File) {
	t.Helper()
	fifo = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return auditTo(t, audit.Options{Target: "-", Stdout: w, Required: true}), fifo, reader
}

// readLines reads what was written to a FIFO, and what is written from now on. The result is called after
// the server has been shut down.
func (a *auditLog) readLines(fifo string) (all func() []auditLine) {
	a.t.Helper()
	r, err := os.OpenFile(fifo, os.O_RDONLY, 0)
	if err != nil {
		a.t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		defer r.Close()
		read <- readUntil(r, `"stop"`)
	}()
	return func() (lines []auditLine) {
		a.log.Write(&audit.Stop{})
		for line := range strings.Lines(<-read) {
			x := auditLine{text: line}
			if err := json.Unmarshal([]byte(strings.TrimLeft(line, "x")), &x); err != nil {
				a.t.Fatalf("%v: %s", err, line)
			}
			lines = append(lines, x)
		}
		return lines
	}
}

// shutdownAfter closes connections and shuts the server down, which then waits for none of them.
func (s *service) shutdownAfter(connections ...*peer) {
	for _, p := range connections {
		_ = p.ws.Close(websocket.StatusNormalClosure, "")
	}
	s.shutdown(0)
}

// eventsOf returns the events of a session, with the kinds of their errors.
func eventsOf(lines []auditLine, id string) string {
	var events []string
	for _, x := range lines {
		if x.SessionID == id && x.Event != "control" {
			events = append(events, x.Event)
			if x.Error != nil {
				events = append(events, x.Error.Kind)
			}
		}
	}
	return strings.Join(events, " ")
}

// TestQueueWhileAuditFails: while required lines cannot be written, nothing is queued. What was queued
// before starts and ends nevertheless, and its lines are written later.
func TestQueueWhileAuditFails(t *testing.T) {
	a, fifo, reader := requiredLines(t)
	s := serve(t, oneSlot, a.set, func(set *settings) { set.Session.MaxQueued = 2 })
	p := s.dial(t)
	busy := p.start(sleeper)
	before := object{"command": "true", "session_id": uuid.NewString(), "queue_timeout": nil}
	ran := p.queued(before)
	canceled := p.queued(object{"command": "true"})

	_ = reader.Close()
	p.ok("cancel", object{"session_id": canceled}, nil)
	p.failed(canceled)
	eventually(t, "a line that could not be written", func() bool { return a.log.Available() != nil })
	for _, wait := range []bool{false, true, false} { // more than there are places
		refused := object{"command": "true", "session_id": uuid.NewString(), "queue_timeout": nil, "wait": wait}
		if e := p.fails(rpc.CodeShuttingDown, "execute", refused); e.Data["kind"] != "audit_unavailable" {
			t.Errorf("%+v", e)
		}
		p.fails(rpc.CodeSessionNotFound, "status", object{"session_id": refused["session_id"]})
	}
	var again rpc.QueuedResult
	if p.ok("execute", before, &again); again.Status != "queued" || again.Created {
		t.Errorf("%+v", again)
	}
	p.ok("cancel", object{"session_id": busy}, nil)
	p.completed(ran)

	lines := a.readLines(fifo)
	eventually(t, "a line that could be written", func() bool { return a.log.Available() == nil })
	busy = p.start(sleeper)
	later := p.queued(object{"command": "true"})
	p.ok("cancel", object{"session_id": busy}, nil)
	p.completed(later)
	s.shutdownAfter(p)
	all := lines()
	for id, want := range map[string]string{
		ran: "execute attach started end", canceled: "execute end request_canceled", later: "execute started end",
	} {
		if got := eventsOf(all, id); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	refused := int64(0)
	for _, x := range of(all, "execute") {
		if x.Error != nil && x.Error.Kind == "audit_unavailable" {
			refused += max(x.Count, 1)
		}
	}
	if refused != 3 {
		t.Errorf("%d lines of refused executes", refused)
	}
}

// TestNothingIsQueuedBeforeItsLine: a session whose required line is not written yet is given no slot,
// and does not delay another one that waits. It gives back its place.
func TestNothingIsQueuedBeforeItsLine(t *testing.T) {
	runParallel(t)
	a, fifo, _ := requiredLines(t)
	s := serve(t, oneSlot, a.set, func(set *settings) { set.Session.MaxQueued = 2 })
	p, other := s.dial(t), s.dial(t)
	busy := other.start(sleeper)
	ran := other.queued(object{"command": "true"})
	fill(t, fifo)
	id := uuid.NewString()
	refused := p.request("execute", object{"command": "true", "session_id": id, "queue_timeout": nil})
	eventually(t, "a session that waits for its line", func() bool {
		_, err := s.registry.Find("user", id)
		return err == nil
	})
	other.ok("cancel", object{"session_id": busy}, nil)
	other.completed(ran)
	if e := p.bad(rpc.CodeShuttingDown, p.reply(refused)); e.Data["kind"] != "audit_unavailable" {
		t.Errorf("%+v", e)
	}
	s.idle()
	for _, m := range p.pending {
		if strings.HasPrefix(m.Method, "process.") {
			t.Errorf("%s", m.text)
		}
	}
	p.fails(rpc.CodeSessionNotFound, "status", object{"session_id": id})

	lines := a.readLines(fifo)
	eventually(t, "a line that could be written", func() bool { return a.log.Available() == nil })
	p.start(sleeper)
	for range 2 {
		p.queued(object{"command": "true"}) // both places are free
	}
	p.fails(rpc.CodeSessionLimit, "execute", object{"command": "true", "queue_timeout": nil})
	s.shutdownAfter(p, other)
	if got := eventsOf(lines(), id); got != "execute end audit_unavailable" {
		t.Error(got)
	}
}

// TestQueueUnderLoad lets several principals execute more than fits into the slots and the queue. Every
// execute is refused or has one end, and in the end nothing is left.
func TestQueueUnderLoad(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) {
		set.Server.Auth = &callers{}
		set.Session.MaxSessions, set.Session.MaxQueued = 2, 8
	})
	var wg sync.WaitGroup
	var ran, failed, refused atomic.Int32
	for n := range 6 {
		p := s.as(t, fmt.Sprint("user", n%3))
		wg.Go(func() {
			for i := range 15 {
				timeout := []any{nil, 1000, 0.002}[i%3]
				switch m := p.call("execute", object{"command": "true", "queue_timeout": timeout, "wait": i%2 == 0}); {
				case m.Error != nil && i%2 == 0 && timeout != 0.002, m.Error != nil && m.Error.Code != rpc.CodeSessionLimit:
					if m.Error.Code != rpc.CodeSessionLimit {
						t.Errorf("%s", m.text)
					}
					refused.Add(1)
				case m.Error != nil:
					failed.Add(1)
				default:
					ran.Add(1)
				}
			}
		})
	}
	wg.Wait()
	s.idle()
	if ran.Load() == 0 {
		t.Errorf("%d ran, %d failed, %d were refused", ran.Load(), failed.Load(), refused.Load())
	}
}
