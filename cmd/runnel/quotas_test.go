package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/session/quota"
)

// TestQuotas checks who has a share of a server.
func TestQuotas(t *testing.T) {
	p, err := auth.ParsePrincipals("principals", []byte(`
[[certificate]]
name = "*.example.org"
principal = "ci"

[[jwt]]
subject = "board"
principal = "board"
role = "observe"

[[jwt]]
subject = "bob"
principal = "bob"
role = "observe"

[[group]]
name = "staff"
members = ["alice", "bob"]
quotas = {max_sessions = 7}

[[principal]]
name = "alice"
quotas = {min_sessions = 5, replay_bytes = 1000, starts_per_second = 0.5}
`))
	if err != nil {
		t.Fatal(err)
	}
	tokens := []auth.Token{{Name: "bob"}, {Name: "watcher", Role: access.Observe}}
	c := &serveCmd{accessFlags: accessFlags{Tokens: "tokens"}, bounds: bounds{MaxSessions: 5}}
	most, least, replay, starts := 7, 5, int64(1000), 0.5
	want := quota.Config{
		Owners: map[string]quota.Quotas{
			"alice": {MinSessions: &least, ReplayBytes: &replay, StartsPerSecond: &starts}, "bob": {}, "ci": {}, "board": {}, "watcher": {},
		},
		Observers: map[string]bool{"board": true, "watcher": true},
		Groups:    map[string]quota.Group{"staff": {Members: []string{"alice", "bob"}, Quotas: quota.Quotas{MaxSessions: &most}}},
	}
	if d := cmp.Diff(want, c.quotas(tokens, p)); d != "" {
		t.Error(d)
	}
	if err := c.checkQuotas(tokens, p); err != nil {
		t.Error(err)
	}
	c.MaxSessions = 4
	if c.checkQuotas(tokens, p) == nil {
		t.Error("5 of 4 sessions are guaranteed")
	}
	alone := quota.Config{Owners: map[string]quota.Quotas{"user": {}}, Groups: map[string]quota.Group{}}
	if d := cmp.Diff(alone, (&serveCmd{}).quotas(nil, nil)); d != "" {
		t.Errorf("without any file: %s", d)
	}
}

// TestUsersOfGroupsAreNoObservers: a principal that --allow-gid admits may start sessions, whatever
// role another credential gives it.
func TestUsersOfGroupsAreNoObservers(t *testing.T) {
	tokens := []auth.Token{{Name: "uid:7", Role: access.Observe}, {Name: "dash", Role: access.Observe}}
	c := &serveCmd{accessFlags: accessFlags{Tokens: "tokens", peerFlags: peerFlags{AllowGID: []string{"7"}}}}
	if got := c.observers(tokens, nil); !slices.Equal(got, []string{"dash"}) {
		t.Error(got)
	}
}

// TestTooFewSlotsAreLogged: a server with more principals than sessions, connections or places in the
// queue says so when it starts, and when it reads its files again.
func TestTooFewSlotsAreLogged(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.newToken(t, "alice")
	p.newToken(t, "bob")
	server, _ := p.serveTokens(t, "--max-sessions=1", "--max-connections=2", "--max-queued=1")
	server.awaitStderr(`"flag":"--max-sessions","limit":1,"principals":2`)
	server.awaitStderr(`"flag":"--max-queued","limit":1,"principals":2`)
	if strings.Contains(server.stderrText(), "--max-connections") {
		t.Error(server.stderrText())
	}
	p.newToken(t, "carol")
	server.awaitStderr(`"flag":"--max-sessions","limit":1,"principals":3`)
	server.awaitStderr(`"flag":"--max-connections","limit":2,"principals":3`)
}

// TestNoQueueNeedsNoPlaces: without a queue nobody has a place in it, which is no reason to warn.
func TestNoQueueNeedsNoPlaces(t *testing.T) {
	var log strings.Builder
	config := quota.Config{Owners: map[string]quota.Quotas{"alice": {}, "bob": {}}}
	for places, want := range map[int]bool{0: false, 1: true, 2: false} {
		log.Reset()
		c := serveCmd{bounds: bounds{MaxSessions: 2, MaxConnections: 2, MaxProxied: 2, MaxQueued: places}}
		c.warnOfShares(&config, zerolog.New(&log))
		if got := log.Len() > 0; got != want {
			t.Errorf("%d places: %q", places, log.String())
		}
	}
}
