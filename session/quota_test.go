//go:build linux

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
)

// as changes the owner of a spec.
func (s Spec) as(owner string) Spec {
	s.Owner = owner
	return s
}

func ids(list []*Session) (all []string) {
	for _, s := range list {
		all = append(all, s.ID())
	}
	return all
}

// TestRetainedSessionsAreShared checks that what one owner retains is taken from it, as long as it
// has more than another.
func TestRetainedSessionsAreShared(t *testing.T) {
	r := unspooled(t, Options{MaxRetained: 6, Retain: time.Hour})
	run := func(owner string, n int) {
		t.Helper()
		for range n {
			ended(t, start(t, r, sh(fmt.Sprint(r.newest), "exit 0").as(owner)))
		}
	}
	expect := func(a, b, c int) {
		t.Helper()
		if x, y, z := len(r.List("a")), len(r.List("b")), len(r.List("c")); x != a || y != b || z != c {
			t.Errorf("%d, %d and %d are retained, want %d, %d and %d", x, y, z, a, b, c)
		}
	}
	run("b", 2)
	run("a", 10)
	expect(4, 2, 0)
	run("b", 10)
	expect(3, 3, 0)
	run("c", 1) // a and b have the same number: that of a which is oldest has to go
	expect(2, 3, 1)
	most, none := 1, 0
	config := quota.Config{
		Owners: map[string]quota.Quotas{"a": {MaxRetained: &most}, "c": {MaxRetained: &none}},
		Groups: map[string]quota.Group{"g": {Members: []string{"b", "c"}, Quotas: quota.Quotas{MaxRetained: &most}}},
	}
	if err := r.SetQuotas(config); err != nil {
		t.Fatal(err)
	}
	run("a", 1)
	run("c", 1)
	expect(1, 1, 0)
	run("b", 1)
	expect(1, 1, 0)
	if r.ended.Len() != 2 || r.weight != 0 {
		t.Errorf("%d ended, weight %d", r.ended.Len(), r.weight)
	}
}

// TestRetainedWeightIsShared checks the same for the commands of ended sessions.
func TestRetainedWeightIsShared(t *testing.T) {
	r := unspooled(t, Options{})
	run := func(owner, id string, weight int64) {
		t.Helper()
		spec := sh(id, "exit 0").as(owner)
		spec.Weight = weight
		ended(t, start(t, r, spec))
	}
	run("b", "b1", maxRetainedBytes/4)
	run("a", "a1", maxRetainedBytes/2)
	run("a", "a2", maxRetainedBytes/2)
	if got := fmt.Sprint(ids(r.List("a")), ids(r.List("b"))); got != "[a2] [b1]" {
		t.Errorf("got %s", got)
	}
	run("a", "a3", 2*maxRetainedBytes)
	if got := fmt.Sprint(ids(r.List("a")), ids(r.List("b"))); got != "[a3] [b1]" {
		t.Errorf("got %s", got)
	}
	run("b", "b2", 1)
	if got := fmt.Sprint(ids(r.List("a")), ids(r.List("b"))); got != "[] [b2 b1]" {
		t.Errorf("got %s", got)
	}
}

// TestLogsAreEvictedFromWhoHasMost checks that the logs of one owner evict its own older ones, and
// not those of another, which holds less than its share.
func TestLogsAreEvictedFromWhoHasMost(t *testing.T) {
	const total = 2 << 20
	r := unspooled(t, Options{ReplayTotal: total})
	if err := r.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {}, "b": {}}}); err != nil {
		t.Fatal(err)
	}
	yours := start(t, r, sh("b", flood(300000)).as("b"))
	ended(t, yours)
	first := start(t, r, sh("first", flood(300000)).as("a"))
	ended(t, first)
	for i := range 12 {
		ended(t, start(t, r, sh(fmt.Sprint(i), flood(300000)).as("a")))
	}
	if oldest(yours) != 0 {
		t.Errorf("b lost its output up to %d", oldest(yours))
	}
	if oldest(first) == 0 {
		t.Error("a has lost nothing")
	}
	if used := r.budget.Used(); used > total+share+slack {
		t.Errorf("%d bytes are used", used)
	}
	limit := int64(share)
	if err := r.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {}, "b": {ReplayBytes: &limit}}}); err != nil {
		t.Fatal(err)
	}
	next := start(t, r, sh("next", flood(3000)).as("b"))
	ended(t, next)
	if oldest(yours) == 0 || oldest(next) != 0 {
		t.Errorf("b keeps its output from %d and %d on", oldest(yours), oldest(next))
	}
}
