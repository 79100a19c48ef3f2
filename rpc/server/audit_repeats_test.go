//go:build linux

package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// repeatsOf returns a table, and a function that closes its log and returns its lines: action, owner,
// count, and error.
func repeatsOf(t *testing.T) (*repeats, func() []string) {
	path := filepath.Join(t.TempDir(), "audit")
	l, err := audit.Open(audit.Options{Target: path})
	if err != nil {
		t.Fatal(err)
	}
	return newRepeats(l), func() (all []string) {
		l.Close()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var x struct {
				Event, Action, Principal, Role, Owner string
				Error                                 json.RawMessage
				Count                                 int
			}
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				t.Fatal(err)
			}
			if (x.Principal == "") != (x.Role == "") {
				t.Error("a role without a principal: ", line)
			}
			text := fmt.Sprint(x.Event, " ", x.Action, " ", x.Principal, " ", x.Owner, " ", x.Count)
			if x.Error != nil {
				text += " " + string(x.Error)
			}
			all = append(all, text)
		}
		return all
	}
}

func use(action, owner string) (repeatKey, auditedRequest) {
	of := audit.Session{Owner: owner}
	caller := audit.Caller{Identity: access.Identity{Principal: "root"}}
	return repeatKey{kind: attachLine, action: action, session: of}, auditedRequest{kind: attachLine, action: action, caller: caller, session: of}
}

// TestRepeats: of requests of one kind, the first one has a line, and the others of a second are
// counted by one. When the kind has not occurred for a second, the next one is a first one.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, lines := repeatsOf(t)
		merge := func(n int, action, owner string) (firsts int) {
			for range n {
				if r.merge(use(action, owner)) {
					firsts++
				}
			}
			return firsts
		}
		for i, n := range []int{merge(1000, "read", "a"), merge(1, "read", "b"), merge(2, "wait", "a")} {
			if n != 1 {
				t.Errorf("%d: %d are the first", i, n)
			}
		}
		time.Sleep(repeatPause + time.Millisecond)
		if n := merge(5, "read", "a") + merge(1, "wait", "a"); n != 0 { // a line was written a moment ago
			t.Errorf("%d lines in the second", n)
		}
		if n := merge(1, "read", "b"); n != 1 {
			t.Errorf("%d lines after a second", n)
		}
		time.Sleep(3 * repeatPause)
		synctest.Wait()
		if len(r.lines) != 0 || r.timer.timer != nil {
			t.Errorf("%d elements are left", len(r.lines))
		}
		merge(3, "read", "a")
		r.close()
		if !r.merge(use("read", "a")) {
			t.Error("counted after the end")
		}
		got, want := lines(), []string{
			"attach read root a 999", "attach wait root a 1", "attach read root a 5", "attach wait root a 1", "attach read root a 2",
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("lines\n%q, want\n%q", got, want)
		}
	})
}

// TestRepeatsAreBounded: requests for which the table has no room are counted without the session.
// Refused ones, which may be of any principal, are counted without the caller, and by code and kind.
func TestRepeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, lines := repeatsOf(t)
		firsts := 0
		const more = 500
		for i := range maxRepeats + more {
			if r.merge(use("read", fmt.Sprint("owner", i))) {
				firsts++
			}
		}
		for i, code := range []int{-32001, -32003, -32001} {
			name := fmt.Sprint("mallory", i)
			x := auditedRequest{
				kind: executeLine, caller: audit.Caller{Identity: access.Identity{Principal: name}},
				err: audit.Error{Code: code, Kind: "kind", Rule: "rule", Field: name},
			}
			if r.merge(repeatKey{kind: executeLine, principal: name, code: code}, x) {
				firsts++
			}
		}
		if firsts != maxRepeats || len(r.lines) != maxRepeats+3 {
			t.Errorf("%d lines, %d elements", firsts, len(r.lines))
		}
		r.close()
		got, want := lines(), []string{
			fmt.Sprintf("attach read root  %d", more), `execute    1 {"code":-32003,"kind":"kind"}`,
			`execute    2 {"code":-32001,"kind":"kind"}`,
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
	})
}
