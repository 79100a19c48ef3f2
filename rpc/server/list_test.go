//go:build linux

package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// listed is one page of a list, with the ids only.
func (p *peer) listed(params object) (ids []string, r rpc.ListResult) {
	p.t.Helper()
	p.ok("list", params, &r)
	for _, st := range r.Sessions {
		ids = append(ids, st.SessionID)
	}
	return ids, r
}

// pages follows a list to its end.
func (p *peer) pages(params object) (ids []string, pages int) {
	p.t.Helper()
	for {
		page, r := p.listed(params)
		if ids, pages = append(ids, page...), pages+1; r.Next == "" {
			return ids, pages
		}
		params = with(params, "after", r.Next)
	}
}

// finished runs true with additional params, and returns its id.
func (p *peer) finished(params object) string {
	p.t.Helper()
	id := uuid.NewString()
	p.good(p.call("execute", with(with(params, "command", []string{"true"}), "wait", true, "session_id", id)))
	p.pending = nil
	return id
}

// TestListInPages: a session that exists all the time is on exactly one page, although others
// are created and removed between the pages.
func TestListInPages(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.MaxRetained, set.NoSpool = 20, true })
	p := s.dial(t)
	var want []string // newest first
	for i := range 11 {
		want = append([]string{p.finished(object{"labels": object{"even": fmt.Sprint(i%2 == 0)}})}, want...)
	}
	for _, limit := range []int{1, 2, 5, 10, 11, 12, 1000} {
		ids, pages := p.pages(object{"limit": limit})
		if !slices.Equal(ids, want) || pages != (len(want)+limit-1)/limit {
			t.Errorf("limit %d: %d pages, %q", limit, pages, ids)
		}
	}
	if ids, r := p.listed(object{}); !slices.Equal(ids, want) || r.Next != "" || r.Truncated {
		t.Errorf("without a limit: %q, %q", ids, r.Next)
	}
	if ids, pages := p.pages(object{"limit": 3, "labels": object{"even": "true"}}); len(ids) != 6 || pages != 2 {
		t.Errorf("by label: %d pages, %q", pages, ids)
	}

	page, r := p.listed(object{"limit": 3})
	if r.Truncated || r.Next == "" {
		t.Errorf("%+v", r)
	}
	for range 12 { // evicts the three oldest, and is listed before the first page
		p.finished(object{})
	}
	next := r.Next
	rest, _ := p.pages(object{"limit": 3, "after": next})
	if got := append(page, rest...); !slices.Equal(got, want[:8]) {
		t.Errorf("%q, want %q", got, want[:8])
	}
	for range 20 { // removes the session of next, too
		p.finished(object{})
	}
	if ids, r := p.listed(object{"after": next}); len(ids) != 0 || r.Next != "" {
		t.Errorf("after a removed session: %q", ids)
	}
}

// TestListWithLargeLabel: a large session has a page of its own, and the others are listed too.
func TestListWithLargeLabel(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	var want []string
	for i := range 6 {
		params := object{}
		if i%2 == 0 {
			params = object{"labels": object{"large": strings.Repeat("x", 900<<10)}}
		}
		want = append([]string{p.finished(params)}, want...)
	}
	ids, r := p.listed(object{})
	if !slices.Equal(ids, want[:3]) || !r.Truncated || r.Next == "" {
		t.Errorf("%q, truncated %v, next %q", ids, r.Truncated, r.Next)
	}
	if ids, pages := p.pages(object{}); !slices.Equal(ids, want) || pages != 3 {
		t.Errorf("%d pages, %q", pages, ids)
	}
}

// TestStatusAlwaysFits: a status fits into a message, however large the params of the session
// are, and says if parts are left out.
func TestStatusAlwaysFits(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.MaxMessageBytes = 8 << 20 })
	p := s.dial(t)
	large := func(c string, n int) string { return strings.Repeat(c, n) }
	args := []any{"true"}
	for range 15 {
		args = append(args, encoded(large("\xff", 100_000)))
	}
	for name, test := range map[string]struct {
		params                object
		command, labels, text bool // what is left out, and whether the command is text
	}{
		"whole":             {object{"command": "true #" + large("<", 900<<10), "labels": object{"a": "b"}}, false, false, true},
		"bytes in base64":   {object{"command": encoded("true #" + large("\xff", 700<<10))}, true, false, false},
		"arguments":         {object{"command": args}, true, false, false},
		"control":           {object{"command": "true #" + large("\x01", 900<<10), "labels": object{"a": large("b", 100<<10)}}, true, false, true},
		"label":             {object{"command": "true", "labels": object{"a": large("\u00e9", 1<<20), "b": "c"}}, false, true, true},
		"labels and string": {object{"command": "true #" + large("x", 1<<20), "labels": object{"a": large("<", 500<<10), "b": large("x", 1<<20), "c": "d"}}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.dial(t)
			id := uuid.NewString()
			p.good(p.call("execute", with(test.params, "session_id", id, "wait", true)))
			var st rpc.SessionStatus
			p.ok("status", object{"session_id": id}, &st)
			_, r := p.listed(object{"limit": 1})
			for _, st := range []rpc.SessionStatus{st, r.Sessions[0]} {
				if st.SessionID != id || st.CommandTruncated != test.command || st.LabelsTruncated != test.labels ||
					(st.CommandBase64 == nil) != test.text {
					t.Errorf("%s: command truncated %v, labels truncated %v, base64 %v",
						st.SessionID, st.CommandTruncated, st.LabelsTruncated, st.CommandBase64 != nil)
				}
				command := st.Command.String()
				if !strings.HasPrefix(command, "true") || test.command && (len(command) > 64<<10 || len(command) < 15<<10) {
					t.Errorf("%d bytes of the command: %.20q", len(command), command)
				}
				for name, value := range st.Labels {
					if value != test.params["labels"].(object)[name] {
						t.Errorf("label %s was cut", name)
					}
				}
				if test.labels && len(st.Labels) == 0 {
					t.Error("all labels were left out")
				}
			}
		})
	}
	if ids, _ := p.pages(object{}); len(ids) != 6 {
		t.Errorf("%d are listed", len(ids))
	}
}
