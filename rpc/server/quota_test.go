//go:build linux

package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
)

// as returns how a principal connects.
func as(principal string) dialing {
	return dialing{path: "/ws", header: http.Header{"X-User": {principal}}}
}

// dialAs connects as a principal.
func (s *service) dialAs(t testing.TB, principal string) *peer {
	t.Helper()
	p, err := s.tryDial(t, as(principal))
	if err != nil {
		t.Fatal(err)
	}
	p.decode(p.notification("connected").Params, &p.hello)
	return p
}

// serveTwo serves the principals a and b.
func serveTwo(t testing.TB, quotas map[string]quota.Quotas, change ...func(*settings)) *service {
	t.Helper()
	s := serve(t, append([]func(*settings){func(set *settings) { set.Server.Auth = byHeader{} }}, change...)...)
	owners := map[string]quota.Quotas{"a": quotas["a"], "b": quotas["b"]}
	if err := s.server.SetQuotas(quota.Config{Owners: owners}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPrincipalsHaveAShareOfSlots checks that one principal cannot take the slots that are
// guaranteed to another, and is not told how many the other has.
func TestPrincipalsHaveAShareOfSlots(t *testing.T) {
	s := serveTwo(t, nil, func(set *settings) { set.Session.MaxSessions = 8 })
	a, b := s.dialAs(t, "a"), s.dialAs(t, "b")
	refused := func(p *peer, scope string, limit float64, running any) {
		t.Helper()
		e := p.fails(-32003, "execute", sleeper)
		if e.Data["scope"] != scope || e.Data["limit"] != limit || e.Data["running"] != running {
			t.Errorf("got %+v", e)
		}
	}
	for range 6 {
		a.start(sleeper)
	}
	refused(a, "server", 8, nil)
	b.start(sleeper)
	refused(a, "server", 8, nil)
	b.start(sleeper)
	refused(b, "server", 8, nil)
	most := 3
	if err := s.server.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {MaxSessions: &most}, "b": {}}}); err != nil {
		t.Fatal(err)
	}
	refused(a, "principal", 3, 6.0)
	tooMany := 9
	if s.server.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {MinSessions: &tooMany}}}) == nil {
		t.Error("9 of 8 sessions are guaranteed")
	}
	refused(a, "principal", 3, 6.0)
}

// TestEachPrincipalHasASlot checks that a slot is kept for each principal that may start sessions, if
// half the slots are fewer than these principals.
func TestEachPrincipalHasASlot(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Auth = byHeader{}; set.Session.MaxSessions = 4 })
	config := quota.Config{
		Owners:    map[string]quota.Quotas{"a": {}, "b": {}, "c": {}, "o": {}},
		Observers: map[string]bool{"o": true},
	}
	if err := s.server.SetQuotas(config); err != nil {
		t.Fatal(err)
	}
	a, b, c := s.dialAs(t, "a"), s.dialAs(t, "b"), s.dialAs(t, "c")
	a.start(sleeper)
	a.start(sleeper)
	a.fails(-32003, "execute", sleeper)
	b.start(sleeper)
	b.fails(-32003, "execute", sleeper)
	c.start(sleeper)
}

// TestPrincipalsHaveAShareOfConnections checks the same for connections.
func TestPrincipalsHaveAShareOfConnections(t *testing.T) {
	s := serveTwo(t, nil, func(set *settings) { set.Server.MaxConnections = 8 })
	refused := func(principal string) {
		t.Helper()
		p, err := s.tryDial(t, as(principal))
		if err == nil || p.resp == nil || p.resp.StatusCode != 503 || p.resp.Header.Get("Retry-After") == "" {
			t.Fatalf("%v, %+v", err, p)
		}
	}
	var last *peer
	for range 6 {
		last = s.dialAs(t, "a")
	}
	refused("a")
	s.dialAs(t, "b")
	s.dialAs(t, "b")
	refused("b")
	last.reset()
	eventually(t, "a slot is free", func() bool {
		_, err := s.tryDial(t, as("b"))
		return err == nil
	})
}

func TestStartsPerSecond(t *testing.T) {
	rate := 1e-6
	s := serveTwo(t, map[string]quota.Quotas{"a": {StartsPerSecond: &rate}})
	a, b := s.dialAs(t, "a"), s.dialAs(t, "b")
	quick := object{"command": "true", "wait": true}
	a.ok("execute", quick, nil)
	e := a.fails(-32003, "execute", quick)
	if after, _ := e.Data["retry_after"].(float64); e.Data["kind"] != "start_rate" || e.Data["scope"] != "principal" || e.Data["starts_per_second"] != rate || after <= 0 {
		t.Errorf("got %+v", e)
	}
	for range 5 {
		b.ok("execute", quick, nil)
	}
}

// TestRepeatedRefusalsAreDelayed checks that a client that repeats an execute at once is slowed
// down, and another is not. The time is what it tests.
func TestRepeatedRefusalsAreDelayed(t *testing.T) {
	none := 0
	s := serveTwo(t, map[string]quota.Quotas{"a": {MaxSessions: &none}})
	a, b := s.dialAs(t, "a"), s.dialAs(t, "b")
	begin := time.Now()
	for range 30 { // 10 at once, and then 10 in a second besides those that are delayed
		a.fails(-32003, "execute", sleeper)
	}
	if d := time.Since(begin); d < 500*time.Millisecond {
		t.Errorf("30 refusals took %v", d)
	}
	b.ok("execute", object{"command": "true", "wait": true}, nil)
}
