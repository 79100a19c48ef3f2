//go:build linux

package server_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/quota"
	"github.com/runnel-rpc/runnel/stream"
)

// allowed are the error codes that are possible in a race.
var allowed = map[int]bool{-32002: true, -32003: true, -32004: true, -32005: true, -32006: true, -32007: true, -32800: true}

// TestConcurrentRequestsForRemovedSessions guards against the use of a session that the registry
// has removed. Hundreds of goroutines, over connections and directly on the registry, use the same
// few sessions, which end and are removed all the time. Nothing panics, no removed session is
// found, and nothing is left.
func TestConcurrentRequestsForRemovedSessions(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Session.MaxSessions = 60
		set.Session.MaxRetained = 5
		set.Server.Defaults.Grace = 50 * time.Millisecond
	})
	var ids [20]string // shared by all
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	var all sync.WaitGroup
	var ran, refused atomic.Int64
	for i := range 50 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 1 + i%2 {
				p := s.dial(t)
				for range 30 {
					method, params := anything(r, &ids)
					p.request(method, params)
				}
				for range 30 {
					m := p.next("a reply", func(m *message) bool { return m.Method == "" })
					if m.Error == nil {
						ran.Add(1)
					} else if refused.Add(1); !allowed[m.Error.Code] {
						t.Errorf("%s", m.text)
					}
					if r.IntN(40) == 0 {
						break
					}
				}
				p.reset()
			}
		})
	}
	for i := range 300 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(i)))
			for range 3 {
				direct(t, s.registry, ids[r.IntN(len(ids))], r.IntN(7))
			}
		})
	}
	all.Wait()
	for _, id := range ids { // no connection is attached to those that were made directly
		if x, err := s.registry.Find("user", id); err == nil {
			x.End(session.Canceled, nil)
		}
	}
	s.idle()
	if ran.Load() < 100 || refused.Load() < 100 {
		t.Errorf("%d succeeded, %d were refused", ran.Load(), refused.Load())
	}
	p := s.dial(t)
	var last string
	for range 6 { // five are kept
		last = p.run(object{"command": "true"}).id
	}
	for _, id := range ids {
		if s.spool != nil { // which keeps them
			break
		}
		p.fails(-32002, "control", object{"session_id": id, "type": "PAUSE"})
		p.fails(-32002, "cancel", object{"session_id": id})
	}
	p.fails(-32005, "control", object{"session_id": last, "type": "PAUSE"})
}

// anything returns a random request about one of the shared sessions.
func anything(r *rand.Rand, ids *[20]string) (method string, params object) {
	id := ids[r.IntN(len(ids))]
	command := []string{"true", "sleep 0.02", "sleep 1000", "echo x; sleep 0.01; echo y", "yes | head -c 100000"}[r.IntN(5)]
	switch r.IntN(9) {
	case 0, 1, 2:
		return "execute", object{"command": command, "session_id": id}
	case 3:
		return "execute", object{"command": command, "timeout": 0.05}
	case 4:
		return "control", object{"type": "PAUSE", "session_id": id}
	case 5:
		return "control", object{"type": "RESUME", "session_id": id}
	case 6:
		return "cancel", object{"session_id": id}
	case 7:
		return "wait", object{"session_id": id, "timeout": 0.05, "capture_bytes": 100}
	}
	if r.IntN(2) == 0 {
		return "status", object{"session_id": id}
	}
	return "write", object{"session_id": id, "data": "x"}
}

// direct calls the registry without a connection.
func direct(t *testing.T, reg *session.Registry, id string, what int) {
	if what == 0 {
		x, created, err := reg.Reserve(session.Spec{
			ID: id, Owner: "user", Params: func() string { return "direct" }, Command: rpc.Command{Shell: "direct"}, Encoding: "utf8", Grace: time.Millisecond,
			Program: process.Spec{Argv: []string{"/bin/sleep", "0.01"}},
		})
		var limit *quota.LimitError
		switch {
		case errors.As(err, &limit):
			if limit.Used > limit.Limit {
				t.Errorf("%+v", limit)
			}
		case err != nil:
			if !errors.Is(err, session.ErrExists) {
				t.Error(err)
			}
		case created:
			if err := x.Start(); err != nil && err != session.ErrCanceled {
				t.Error(err)
			}
		}
		return
	}
	x, err := reg.Find("user", id)
	if err != nil {
		if !errors.Is(err, session.ErrNotFound) {
			t.Error(err)
		}
		return
	}
	switch what {
	case 1:
		err = x.Pause()
	case 2:
		err = x.Resume()
	case 3:
		x.End(session.Canceled, nil)
	case 4:
		a := x.Attach(session.AttachOptions{Cursor: stream.CursorOptions{Ready: func() {}}})
		a.Next()
		a.Disconnect()
	case 5:
		v := x.View()
		_ = fmt.Sprint(v.State, v.PID)
	case 6:
		<-x.Write([]byte("x"), nil, nil, true).Done
	}
	var state *session.StateError
	if err != nil && !errors.As(err, &state) {
		t.Errorf("%d: %v", what, err)
	}
}

// TestControlWhileSessionEnds sends controls and other requests at the moment when a session ends
// by itself.
func TestControlWhileSessionEnds(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.MaxRetained = 1 })
	p := s.dial(t)
	for i := range 100 {
		id := p.start(object{"command": []string{"sleep", fmt.Sprintf("0.00%d", i%10)}, "stdin": "pipe"})
		var asked []string
		for range 3 {
			asked = append(asked,
				p.request("control", object{"session_id": id, "type": "PAUSE"}),
				p.request("control", object{"session_id": id, "type": "RESUME"}),
				p.request("write", object{"session_id": id, "data": "x"}),
				p.request("status", object{"session_id": id}))
		}
		asked = append(asked, p.request("cancel", object{"session_id": id}))
		for _, a := range asked {
			if m := p.reply(a); m.Error != nil && !allowed[m.Error.Code] {
				t.Errorf("%s", m.text)
			}
		}
		p.completed(id)
		p.pending = nil
	}
	s.idle()
}
