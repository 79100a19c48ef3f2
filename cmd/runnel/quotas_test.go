package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
		Owners: map[string]quota.Quotas{"alice": {MinSessions: &least, ReplayBytes: &replay, StartsPerSecond: &starts}, "bob": {}, "ci": {}},
		Groups: map[string]quota.Group{"staff": {Members: []string{"alice", "bob"}, Quotas: quota.Quotas{MaxSessions: &most}}},
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
