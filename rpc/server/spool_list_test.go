//go:build linux

package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestStoredList: the next server lists the sessions of the one before in pages, newest first, while
// others come and go.
func TestStoredList(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	var ids, odd []string // oldest first
	for i := range rounds(100, 600) {
		id := uuid.NewString()
		p.ok("execute", object{"command": []string{"true"}, "session_id": id, "wait": true, "stream": false,
			"labels": object{"parity": fmt.Sprint(i % 2), "n": fmt.Sprint(i)}}, nil)
		if ids = append(ids, id); i%2 == 1 {
			odd = append(odd, id)
		}
	}
	s.idle()
	s.shutdown(0)

	s = serve(t, inSpool(dir))
	p = s.dial(t)
	// pages returns the ids of all pages, oldest first. Between them a session is run.
	pages := func(params object) (found []string) {
		for {
			var r rpc.ListResult
			p.ok("list", params, &r)
			if r.Incomplete || len(r.Sessions) > 30 {
				t.Fatalf("%d sessions, incomplete: %v", len(r.Sessions), r.Incomplete)
			}
			for _, x := range r.Sessions {
				if x.State != "ended" || x.Completion == nil || x.Completion.ExitCode == nil || x.Labels["n"] == "" {
					t.Fatalf("%+v", x)
				}
				found = append(found, x.SessionID)
			}
			if r.Next == "" {
				slices.Reverse(found)
				return found
			}
			params["after"] = r.Next
			p.ok("execute", object{"command": []string{"true"}, "wait": true, "stream": false, "labels": object{"n": "new"}}, nil)
		}
	}
	if found := pages(object{"limit": 30, "labels": object{"parity": "1"}, "state": "ended"}); !slices.Equal(found, odd) {
		t.Errorf("%d sessions with a label, not %d", len(found), len(odd))
	}
	if found := pages(object{"limit": 30, "labels": object{"parity": "2"}}); len(found) > 0 {
		t.Errorf("%d sessions with a label that none has", len(found))
	}
	forgotten := ids[len(ids)/2]
	p.ok("forget", object{"session_id": forgotten}, nil)
	present := p.run(object{"command": "echo present", "labels": object{"n": "present"}})
	found := pages(object{"limit": 30})
	if i := slices.Index(found, present.id); i != len(found)-1 {
		t.Errorf("the newest session is at %d of %d", i, len(found))
	}
	kept := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == forgotten })
	if !slices.Equal(found[:min(len(kept), len(found))], kept) {
		t.Errorf("%d sessions, which are not the %d of the server before", len(found), len(kept))
	}
}
