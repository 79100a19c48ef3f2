package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

const patience = 20 * time.Second

// scripted is a client of a server that says what the script gives it: first without being asked, and then
// one line for each message that it gets. %s in a line is the id of that message.
func scripted(t *testing.T, first []string, script ...string) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for _, text := range first {
			_ = ws.Write(r.Context(), websocket.MessageText, []byte(text))
		}
		for _, line := range script {
			_, b, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			_, id, _ := strings.Cut(string(b), `"id":"`)
			id, _, _ = strings.Cut(id, `"`)
			for text := range strings.SplitSeq(line, "\n") {
				_ = ws.Write(r.Context(), websocket.MessageText, []byte(strings.ReplaceAll(text, "%s", id)))
			}
		}
		_, _, _ = ws.Read(r.Context())
	}))
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Close", func() { _ = c.Close() }) })
	return c
}

func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s hangs", what)
	}
}

const (
	hello    = `{"jsonrpc":"2.0","method":"connected","params":{"connection_id":"c"}}`
	session1 = "11111111-1111-4111-8111-111111111111"
)

// TestBrokenServer: what is no JSON-RPC ends the connection, and all that waits on it.
func TestBrokenServer(t *testing.T) {
	for _, text := range []string{`{"jsonrpc":"2.0","id":`, `{"jsonrpc":"2.0","id":{},"result":1}`, `[]`, `x`, `{"id":1}`, `{"jsonrpc":"2.0","id":"1"}`} {
		t.Run(text, func(t *testing.T) {
			c := scripted(t, []string{hello}, `{"jsonrpc":"2.0","id":"%s","result":{}}`, text)
			s, err := c.Execute(t.Context(), rpc.ExecuteParams{Command: rpc.Command{Shell: "x"}}, Events{})
			if err != nil {
				t.Fatal(err)
			}
			within(t, "a call", func() {
				if err := c.Call(t.Context(), "status", nil, nil); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v", err)
				}
			})
			within(t, "Wait", func() {
				if _, err := s.Wait(context.Background()); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestAnyOrderOfMembers: a notification is one however its members are ordered.
func TestAnyOrderOfMembers(t *testing.T) {
	reply := `{"result":{"status":"started"},"id":"%s","jsonrpc":"2.0"}`
	output := fmt.Sprintf(`{"params":{"data":"hi","type":"stdout","seq":3,"session_id":%q},"jsonrpc":"2.0","method":"process.output"}`, session1)
	record := fmt.Sprintf(`{"method":"process.completed","params":{"session_id":%q,"seq":4,"status":"completed","exit_code":0},"jsonrpc":"2.0"}`, session1)
	c := scripted(t, []string{`{"params":{"connection_id":"c"},"method":"connected","jsonrpc":"2.0"}`}, reply+"\n"+output+"\n"+record)
	var got strings.Builder
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
		Output: func(o *Output) { got.Write(o.Data) },
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() {
		if rec, err := s.Wait(context.Background()); err != nil || rec.Seq != 4 || got.String() != "hi" {
			t.Errorf("%+v, %v, %q", rec, err, got.String())
		}
	})
}

// TestOneFollowerOfASession: a second Execute under an id in use takes nothing from the first.
func TestOneFollowerOfASession(t *testing.T) {
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":4,"exit_code":0}}`, session1)
	reply := `{"jsonrpc":"2.0","id":"%s","result":{}}`
	c := scripted(t, []string{hello}, reply, reply+"\n"+record)
	p := rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}
	s, err := c.Execute(t.Context(), p, Events{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Execute(t.Context(), p, Events{}); !errors.Is(err, ErrFollowed) {
		t.Errorf("got %v", err)
	}
	if err := c.Call(t.Context(), "status", nil, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() {
		if rec, err := s.Wait(context.Background()); err != nil || rec.Seq != 4 {
			t.Errorf("%+v, %v", rec, err)
		}
	})
}

// TestFollowAgainOnceItEnded: who was told of a session's end may attach to it at once.
func TestFollowAgainOnceItEnded(t *testing.T) {
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":4,"exit_code":0}}`, session1)
	c := scripted(t, []string{hello}, `{"jsonrpc":"2.0","id":"%s","result":{}}`+"\n"+record)
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
		Raw: func([]byte) { c.mu.Lock() }, // nothing is forgotten from here on
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() { <-s.Done() })
	defer c.mu.Unlock()
	if c.sessions[session1] != nil {
		t.Error("it is followed still")
	}
}

// TestAnySpellingOfAnID: events come under an id's lower case, also for who spells it otherwise.
func TestAnySpellingOfAnID(t *testing.T) {
	const told, spelled = "abcdefab-1111-4111-8111-111111111111", "ABCDEFAB-1111-4111-8111-111111111111"
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":4,"exit_code":0}}`, told)
	reply := `{"jsonrpc":"2.0","id":"%s","result":{}}`
	c := scripted(t, []string{hello}, reply+"\n"+record, reply+"\n"+record)
	executed, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: spelled, Command: rpc.Command{Shell: "x"}}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record of what was executed", func() { <-executed.Done() })
	attached, _, err := c.Attach(t.Context(), rpc.AttachParams{SessionID: spelled}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record of what was attached to", func() { <-attached.Done() })
	if executed.ID() != told || attached.ID() != told {
		t.Errorf("%s, %s", executed.ID(), attached.ID())
	}
}

// TestEventsBehindSlowOutput: what came while a callback was busy is told all the same, in order.
func TestEventsBehindSlowOutput(t *testing.T) {
	event := func(method string, seq int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{"session_id":%q,"seq":%d,"type":"stdout","data":"x"}}`, method, session1, seq)
	}
	reply := `{"jsonrpc":"2.0","id":"%s","result":{}}`
	all := []string{reply, event("process.started", 1), event("process.output", 2), event("process.paused", 3), event("process.output", 4), event("process.completed", 5)}
	c := scripted(t, []string{hello}, strings.Join(all, "\n"))
	var told []int64
	held := make(chan struct{})
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
		Window: 1 << 20,
		State:  func(e rpc.StateEvent) { told = append(told, e.Seq) },
		Output: func(o *Output) { <-held; told = append(told, o.Seq) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for s.Seq() < 5 { // all has come
		time.Sleep(time.Millisecond)
	}
	close(held)
	within(t, "the record", func() {
		if rec, err := s.Wait(context.Background()); err != nil || rec.Seq != 5 || fmt.Sprint(told) != "[1 2 3 4]" {
			t.Errorf("%+v, %v, %v", rec, err, told)
		}
	})
}

// TestExitedTakesNoPlace: process.exited has the place of the event before it, and is told all the same, once.
func TestExitedTakesNoPlace(t *testing.T) {
	const notice = `{"jsonrpc":"2.0","method":"process.exited","params":{"session_id":"` + session1 + `","seq":1,"exit_code":3,"signal":null}}`
	const started = `{"jsonrpc":"2.0","method":"process.started","params":{"session_id":"` + session1 + `","seq":1,"status":"started","pid":2,"pgid":2}}`
	const completed = `{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":"` + session1 + `","seq":2,"status":"failed"}}`
	for name, window := range map[string]int64{"as they come": 0, "with a window": 100} {
		t.Run(name, func(t *testing.T) {
			c := scripted(t, []string{hello}, `{"jsonrpc":"2.0","id":"%s","result":{}}`+"\n"+started+"\n"+notice+"\n"+notice+"\n"+completed)
			var told []string
			s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
				Window: window,
				State:  func(e rpc.StateEvent) { told = append(told, e.Status) },
				Exited: func(e rpc.Exited) { told = append(told, fmt.Sprint("exited ", *e.ExitCode)) },
			})
			if err != nil {
				t.Fatal(err)
			}
			within(t, "Wait", func() { _, err = s.Wait(context.Background()) })
			if got := strings.Join(told, ", "); err != nil || got != "started, exited 3" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
