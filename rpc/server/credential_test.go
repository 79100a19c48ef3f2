//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// TestConnectedTellsTheCaller: connected has the principal, the role and the expiry of a caller.
func TestConnectedTellsTheCaller(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Auth = &callers{} })
	hello := s.as(t, "alice,admin,3600").hello
	expires, err := time.Parse(time.RFC3339, hello.Expires)
	if hello.Principal != "alice" || hello.Role != "admin" || err != nil || time.Until(expires) < 50*time.Minute {
		t.Errorf("%+v, %v", hello, err)
	}
	if hello := s.dial(t).hello; hello.Principal != "user" || hello.Role != "run" || hello.Expires != "" {
		t.Errorf("%+v", hello)
	}
}

// TestExpiry: a connection continues for the grace after its credential has expired, and is then
// closed with 4401, unless the credential was renewed.
func TestExpiry(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Server.Auth = &callers{} })
	const almostOver = "-59" // of the 60 s of grace
	p, renewed := s.as(t, "alice,run,"+almostOver), s.as(t, "bob,run,"+almostOver)
	id := p.start(with(sleeper, "on_disconnect", "keep"))
	var r rpc.AuthenticateResult
	renewed.ok("authenticate", rpc.AuthenticateParams{Token: "bob,run,3600"}, &r)
	if r.Principal != "bob" || r.Role != "run" || r.Expires == "" {
		t.Errorf("%+v", r)
	}
	p.closed(rpc.CloseUnauthorized)
	renewed.ok("list", object{}, nil)
	s.as(t, "alice").ok("cancel", object{"session_id": id}, nil)
}

// TestRevocation: Reauthenticate closes the connections of a revoked credential with 4401, also if
// the peer does not read, and leaves the others open.
func TestRevocation(t *testing.T) {
	runParallel(t)
	auth := &callers{}
	s := serve(t, func(set *settings) { set.Server.Auth = auth })
	idle, flooded, other := s.as(t, "alice"), s.as(t, "alice"), s.as(t, "bob")
	id := flooded.start(object{"command": "yes", "stream": true})
	session, err := s.registry.Find("alice", id)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	pollFor(testTimeout, func() bool { // until the buffers of the kernel are full
		before := last
		last = session.View().Last
		time.Sleep(100 * time.Millisecond)
		return last > 1<<20 && last == before
	})
	auth.revoke("alice")
	s.server.Reauthenticate()
	idle.closed(rpc.CloseUnauthorized)
	s.idle() // the session was ended by the disconnect of its connection
	other.ok("list", object{}, nil)
	if _, err := s.tryDial(t, dialing{path: "/ws", header: map[string][]string{"X-Caller": {"alice"}}}); err == nil {
		t.Error("a revoked credential is accepted")
	}
}

// TestRevocationDuringBatch: no further item of a batch is carried out.
func TestRevocationDuringBatch(t *testing.T) {
	auth := &callers{}
	var s *service
	var executes atomic.Int32
	s = serve(t, func(set *settings) {
		set.Server.Auth = auth
		set.Server.Restrict = func(access.Identity, *rpc.ExecuteParams, *session.Spec) error {
			if executes.Add(1) == 2 {
				auth.revoke("alice")
				s.server.Reauthenticate()
			}
			return nil
		}
	})
	p := s.as(t, "alice")
	item := `{"jsonrpc":"2.0","method":"execute","params":{"command":["true"],"on_disconnect":"keep"}}`
	p.send("[%s]", strings.Repeat(item+",", 9)+item)
	p.closed(rpc.CloseUnauthorized)
	s.shutdown(0) // waits for the connection
	if n := executes.Load(); n != 2 {
		t.Errorf("%d items were carried out, 2 until the credential was revoked", n)
	}
}

// TestRoleIsTakenAway: a subscription of a session that its caller may not read any more ends, and
// so do requests that wait for it.
func TestRoleIsTakenAway(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Auth = &callers{} })
	alice, admin := s.as(t, "alice"), s.as(t, "root,admin")
	id := alice.started(object{"command": "echo ready; read x; echo secret", "stdin": "pipe"})
	admin.ok("attach", object{"session_id": "alice/" + id}, nil)
	waiting := []string{
		admin.request("wait", object{"session_id": "alice/" + id, "capture_bytes": 1000}),
		admin.request("read", object{"session_id": "alice/" + id, "after_seq": len("ready\n") + 1}),
	}
	admin.ok("authenticate", object{"token": "root,run"}, nil)
	admin.fails(rpc.CodeSessionNotFound, "status", object{"session_id": "alice/" + id})
	alice.ok("write", object{"session_id": id, "data": "x\n"}, nil)
	alice.completed(id)
	for _, request := range waiting {
		admin.bad(rpc.CodeSessionNotFound, admin.reply(request))
	}
	admin.ok("list", object{}, nil)
	for _, m := range admin.pending {
		if m.Method == rpc.NotifyCompleted {
			t.Errorf("sent to a caller that is no admin any more: %s", m.text)
		}
	}
}

// TestGroupChangesDuringAttach: an attach fails that has found a session before the groups change and
// hide it, and its connection gets no event.
func TestGroupChangesDuringAttach(t *testing.T) {
	var s *service
	var apart atomic.Bool
	s = serve(t, func(set *settings) {
		set.Server.Auth = &callers{}
		set.Server.SameGroup = func(string, string) bool { return !apart.Load() }
		set.Checkpoint = func(name string) {
			if name == "find" && !apart.Swap(true) {
				s.server.Reauthenticate()
			}
		}
	})
	alice, observer := s.as(t, "alice"), s.as(t, "carol,observe")
	id := alice.started(object{"command": "echo ready; read x; echo secret", "stdin": "pipe"})
	observer.fails(rpc.CodeSessionNotFound, "attach", object{"session_id": "alice/" + id})
	alice.ok("write", object{"session_id": id, "data": "x\n"}, nil)
	alice.completed(id)
	observer.ok("list", object{}, nil)
	if len(observer.pending) > 0 {
		t.Errorf("sent to a caller that must not know of the session: %s", observer.pending[0].text)
	}
}

// TestCallerBecomesObserver: a connection whose caller may only watch its session from now on does not
// make the process wait any more, and its disconnect does not end the session.
func TestCallerBecomesObserver(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Server.Auth = &callers{} })
	alice, observer := s.as(t, "alice"), s.as(t, "alice")
	id := observer.start(object{"command": "yes", "stream": true})
	request := observer.request("authenticate", object{"token": "alice,observe"})
	var st rpc.SessionStatus
	if !poll(func() bool { // far beyond what the log and the sockets hold
		alice.ok("status", object{"session_id": id}, &st)
		return st.Output.StdoutBytes > 64<<20
	}) {
		t.Error("the process waits for a connection that only watches")
	}
	observer.reply(request)
	observer.fails(rpc.CodeForbidden, "cancel", object{"session_id": id})
	observer.reset()
	alice.fails(rpc.CodeDeadline, "wait", object{"session_id": id, "timeout": 0.2})
	alice.ok("cancel", object{"session_id": id}, nil)
}

// TestEndRevoked: Reauthenticate ends the sessions that were started with a revoked credential,
// also one that is being started, and no others of the principal.
func TestEndRevoked(t *testing.T) {
	runParallel(t)
	const late = "11111111-1111-4111-8111-111111111111"
	auth := &callers{}
	var s *service
	s = serve(t, func(set *settings) {
		set.Server.Auth, set.Server.EndRevoked = auth, true
		set.Server.Restrict = func(_ access.Identity, p *rpc.ExecuteParams, _ *session.Spec) error {
			if p.SessionID == late {
				auth.revoke("alice,run")
				s.server.Reauthenticate() // before the session is in the registry
			}
			return nil
		}
	})
	kept := with(sleeper, "on_disconnect", "keep")
	old, renewed := s.as(t, "alice,run"), s.as(t, "alice,admin")
	first, other := old.start(kept), renewed.start(kept)
	old.request("execute", with(kept, "session_id", late))
	old.closed(rpc.CloseUnauthorized)
	var rec rpc.Completion
	renewed.ok("wait", object{"session_id": first}, &rec)
	if rec.Reason != rpc.ReasonCanceled {
		t.Errorf("%+v", rec)
	}
	if !poll(func() bool { return s.registry.Running() == 1 }) {
		t.Error("the session that was being started was not ended")
	}
	renewed.ok("status", object{"session_id": other}, nil)
	renewed.ok("cancel", object{"session_id": other}, nil)
}

// TestWrongTokens: a connection that presents too many wrong tokens is closed, also in a batch, and
// no further one is looked at.
func TestWrongTokens(t *testing.T) {
	auth := &callers{}
	s := serve(t, func(set *settings) { set.Server.Auth = auth })
	p := s.as(t, "alice")
	for range 10 {
		p.fails(rpc.CodeForbidden, "authenticate", object{"token": "bob,wrong"})
	}
	p.ok("authenticate", object{"token": "alice,run"}, nil) // a valid one is accepted
	before := auth.asked.Load()
	item := `{"jsonrpc":"2.0","id":%d,"method":"authenticate","params":{"token":"bob,wrong"}}`
	var items []string
	for i := range 20 {
		items = append(items, fmt.Sprintf(item, i))
	}
	p.send("[%s]", strings.Join(items, ","))
	p.closed(rpc.CloseUnauthorized)
	if n := auth.asked.Load() - before; n != 1 {
		t.Errorf("%d more tokens were checked", n)
	}
}
