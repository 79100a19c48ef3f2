package main

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/rs/zerolog"
)

// TestReloadsDependOnEachOther: a part that is valid only after another one was reloaded is reloaded
// with it, also if its own file has changed before.
func TestReloadsDependOnEachOther(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return dir + "/" + name }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tokens", "a")
	write("policy", "a")
	policy, calls := "a", 0
	var reports []string
	r := &reloader{log: zerolog.Nop(), done: func() { calls++ }, report: func(what, _ string, err error) {
		if err != nil {
			what += " failed"
		}
		reports = append(reports, what)
	}}
	r.add("tokens", func() error {
		text, _ := os.ReadFile(file("tokens"))
		if string(text) != policy {
			return errors.New("the policy has no such principal")
		}
		return nil
	}, file("tokens"))
	r.add("policy", func() error {
		text, err := os.ReadFile(file("policy"))
		policy = string(text)
		return err
	}, file("policy"))
	wantReports := func(what string, done int, want ...string) {
		t.Helper()
		if !slices.Equal(reports, want) || calls != done {
			t.Errorf("%s: %q, %d calls of done, want %q, %d", what, reports, calls, want, done)
		}
		reports, calls = nil, 0
	}
	r.reload(r.changed())
	wantReports("nothing has changed", 0)
	write("tokens", "bb")
	r.reload(r.changed())
	wantReports("a new token", 0, "tokens failed")
	r.reload(r.changed())
	wantReports("nothing more has changed", 0)
	write("policy", "bb")
	r.reload(r.changed())
	wantReports("a new policy", 1, "policy", "tokens")
	write("tokens", "ccc")
	write("policy", "ccc")
	r.reload(r.parts)
	wantReports("both at once", 1, "tokens", "policy")
}
