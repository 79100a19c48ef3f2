//go:build linux

package server_test

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestConnectionsTakeTurns: the handling of a message, and the reply to a request that has waited, wait
// for turns of their principal. Another principal does not wait for them.
func TestConnectionsTakeTurns(t *testing.T) {
	s := serveTwo(t, nil)
	handles, replies, b := s.dialAs(t, "a"), s.dialAs(t, "a"), s.dialAs(t, "b")
	var started rpc.ExecuteResult
	handles.ok("execute", sleeper, &started)
	waits := replies.request("wait", object{"session_id": started.SessionID})
	for range 2 { // the wait is in flight then, and the first ping is answered
		replies.ok("list", object{}, nil)
		handles.ok("list", object{}, nil)
	}
	release := sync.OnceFunc(s.server.HoldTurns("a"))
	defer release()
	lists := handles.request("list", object{})
	if err := syscall.Kill(started.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	turnsWait := func() bool { return s.server.TurnsWaiting("a") == 2 }
	eventually(t, "two turns wait", turnsWait)
	for range 3 {
		b.ok("list", object{}, nil)
	}
	if !turnsWait() {
		t.Errorf("%d turns wait", s.server.TurnsWaiting("a"))
	}
	release()
	handles.good(handles.reply(lists))
	replies.good(replies.reply(waits))
	handles.completed(started.SessionID)
}

// TestTurnsEnd: no turn is left when the connections wait for messages, those read ahead in one piece and
// those that arrive in parts, and the next message has a turn again.
func TestTurnsEnd(t *testing.T) {
	s := serveTwo(t, nil)
	a, _ := s.dialAs(t, "a"), s.dialAs(t, "b")
	for range 3 {
		a.ok("list", object{}, nil)
		a.fails(-32602, "write", object{"session_id": strings.Repeat("x", 100<<10)})
		a.send(`[%s]`, strings.Repeat(`{"jsonrpc":"2.0","method":"pong"},`, 9)+`{"jsonrpc":"2.0","id":"batch","method":"list"}`)
		a.next("the reply of the batch", func(m *message) bool { return m.batch != nil })
		eventually(t, "no turn is left", func() bool { return s.server.TurnsRunning("a") == 0 })
	}
}
