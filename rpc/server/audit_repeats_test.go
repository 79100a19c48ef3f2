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

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
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
	x := auditedRequest{
		kind: attachLine, action: action, session: audit.Session{Owner: owner},
		caller: audit.Caller{Identity: access.Identity{Principal: "root"}},
	}
	return x.key(refusedPeer{}), x
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
		if len(r.groups) != 0 || r.timer.timer != nil {
			t.Errorf("%d groups are left", len(r.groups))
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

// TestRepeatsAreBounded: a principal that causes more lines than it may has the other requests
// counted without what they name, and takes away no lines of its own of another class, nor of others.
func TestRepeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, lines := repeatsOf(t)
		firsts := 0
		count := func(key repeatKey, x auditedRequest) {
			if r.merge(key, x) {
				firsts++
			}
		}
		const more = 500
		for i := range maxRepeats + more {
			count(use("read", fmt.Sprint("owner", i)))
		}
		count(use("read", "root")) // its own session
		control := auditedRequest{
			kind: controlLine, action: "PAUSE", session: audit.Session{Owner: "alice"},
			caller: audit.Caller{Identity: access.Identity{Principal: "alice"}},
		}
		count(control.key(refusedPeer{}), control)
		for i := range maxRepeats {
			x := auditedRequest{kind: executeLine, caller: control.caller, err: audit.Error{Code: -32001, Kind: "kind", Rule: fmt.Sprint(i)}}
			count(x.key(refusedPeer{}), x)
		}
		for _, code := range []int{-32001, -32003, -32001} {
			x := auditedRequest{kind: executeLine, caller: control.caller, err: audit.Error{Code: code, Kind: "kind", Rule: "rule", Field: "f"}}
			count(x.key(refusedPeer{}), x)
		}
		if want := 2*maxRepeats + 2; firsts != want {
			t.Errorf("%d lines, want %d", firsts, want)
		}
		r.close()
		got, want := lines(), []string{
			fmt.Sprintf("attach read root  %d", more), `execute  alice  1 {"code":-32003,"kind":"kind"}`,
			`execute  alice  2 {"code":-32001,"kind":"kind"}`,
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
	})
}

// TestRepeatsOfEndlessFloods: a principal that never stops causes no more than repeatRate lines per
// second, after maxRepeats at first. Each request is in a line.
func TestRepeatsOfEndlessFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds, sessions = 20, 2000
		r, lines := repeatsOf(t)
		whole := 0
		for range seconds {
			for i := range sessions {
				if r.merge(use("read", fmt.Sprint("owner", i))) {
					whole++
				}
			}
			time.Sleep(repeatPause)
		}
		r.close()
		all, sum := lines(), whole
		for _, line := range all {
			var n int
			_, _ = fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n)
			sum += n
		}
		if n := whole + len(all); n > maxRepeats+seconds*(repeatRate+1) || sum != seconds*sessions {
			t.Errorf("%d lines of %d requests, want %d", n, sum, seconds*sessions)
		}
		time.Sleep(2 * maxRepeats / repeatRate * time.Second)
	})
}

// TestRepeatsOfConnections: each of the first connections of a peer in a second has a line, and the
// others are counted, by their close code, but that of clients counts as one.
func TestRepeatsOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, lines := repeatsOf(t)
		whole := map[string]int{}
		alice := audit.Caller{Identity: access.Identity{Principal: "alice"}}
		count := func(x auditedRequest) {
			if r.merge(x.key(refusedPeer{}), x) {
				whole[fmt.Sprint(x.action, " ", int(x.closing.code))]++
			}
		}
		const times = 2000
		for range 2 {
			for i := range times {
				count(auditedRequest{kind: connectionLine, action: audit.ActionOpen, caller: alice})
				code := websocket.StatusCode(3000 + i%1000)
				count(auditedRequest{kind: connectionLine, action: audit.ActionClose, caller: alice, closing: closeError{code, "bye"}})
			}
			count(auditedRequest{kind: connectionLine, action: audit.ActionClose, caller: alice, closing: closeError{rpc.CloseUnauthorized, "revoked"}})
			time.Sleep(repeatPause + time.Millisecond)
		}
		r.close()
		opened, closed := 0, 0
		for what, n := range whole {
			if strings.HasPrefix(what, "open") {
				opened += n
			} else {
				closed += n
			}
		}
		if want := 2*connectionLines - 1; opened != want || closed != want+2 || whole["close 4401"] != 2 {
			t.Errorf("%d opened, %d closed: %v", opened, closed, whole)
		}
		got, want := lines(), []string{
			"connection close alice  1981", "connection close alice  1980", "connection open alice  1981", "connection open alice  1980",
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
	})
}
