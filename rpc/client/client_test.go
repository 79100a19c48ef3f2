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

// testTimeout bounds each wait of a test.
const testTimeout = 20 * time.Second

// dialScripted returns a client of a server that sends the messages of first, and then, for each
// message that it receives, a line of the script. A line may be several messages, one per line
// feed; %s is the id of the received message.
func dialScripted(t *testing.T, first []string, script ...string) *Client {
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
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	c, err := Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Close", func() { _ = c.Close() }) })
	return c
}

// poll waits until ok returns true, and reports false after testTimeout.
func poll(ok func() bool) bool {
	for end := time.Now().Add(testTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) { // between two checks
		if ok() {
			return true
		}
	}
	return false
}

// within fails the test if f does not return within testTimeout.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(testTimeout):
		t.Fatalf("%s: no return within %v", what, testTimeout)
	}
}

const (
	connected = `{"jsonrpc":"2.0","method":"connected","params":{"connection_id":"c"}}`
	session1  = "11111111-1111-4111-8111-111111111111"
)

// TestInvalidMessageClosesTheConnection: a message that is not JSON-RPC ends all calls and sessions.
func TestInvalidMessageClosesTheConnection(t *testing.T) {
	for _, text := range []string{`{"jsonrpc":"2.0","id":`, `{"jsonrpc":"2.0","id":{},"result":1}`, `[]`, `x`, `{"id":1}`, `{"jsonrpc":"2.0","id":"1"}`} {
		t.Run(text, func(t *testing.T) {
			c := dialScripted(t, []string{connected}, `{"jsonrpc":"2.0","id":"%s","result":{}}`, text)
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

// TestAnyOrderOfMembers: replies and notifications are recognized in any order of their members.
func TestAnyOrderOfMembers(t *testing.T) {
	reply := `{"result":{"status":"started"},"id":"%s","jsonrpc":"2.0"}`
	output := fmt.Sprintf(`{"params":{"data":"hi","type":"stdout","seq":3,"session_id":%q},"jsonrpc":"2.0","method":"process.output"}`, session1)
	record := fmt.Sprintf(`{"method":"process.completed","params":{"session_id":%q,"seq":4,"status":"completed","exit_code":0},"jsonrpc":"2.0"}`, session1)
	c := dialScripted(t, []string{`{"params":{"connection_id":"c"},"method":"connected","jsonrpc":"2.0"}`}, reply+"\n"+output+"\n"+record)
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

// TestSecondExecuteOfASession: a second Execute with the id of an attached session fails, and the
// first session still receives its events.
func TestSecondExecuteOfASession(t *testing.T) {
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":4,"exit_code":0}}`, session1)
	reply := `{"jsonrpc":"2.0","id":"%s","result":{}}`
	c := dialScripted(t, []string{connected}, reply, reply+"\n"+record)
	p := rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}
	s, err := c.Execute(t.Context(), p, Events{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Execute(t.Context(), p, Events{}); !errors.Is(err, ErrAttached) {
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

// TestAttachAgainAfterTheEnd: a session is removed before its completion record is delivered, so a
// caller can attach again at once.
func TestAttachAgainAfterTheEnd(t *testing.T) {
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":4,"exit_code":0}}`, session1)
	c := dialScripted(t, []string{connected}, `{"jsonrpc":"2.0","id":"%s","result":{}}`+"\n"+record)
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
		Raw: func([]byte) { c.mu.Lock() }, // no session can be removed from here on
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() { <-s.Done() })
	defer c.mu.Unlock()
	if c.sessions[session1] != nil {
		t.Error("the session is still registered")
	}
}

// TestUpperCaseID: events have the id in lower case, whatever the case of the id in the request.
func TestUpperCaseID(t *testing.T) {
	const lower, upper = "abcdefab-1111-4111-8111-111111111111", "ABCDEFAB-1111-4111-8111-111111111111"
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":4,"exit_code":0}}`, lower)
	reply := `{"jsonrpc":"2.0","id":"%s","result":{}}`
	c := dialScripted(t, []string{connected}, reply+"\n"+record, reply+"\n"+record)
	executed, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: upper, Command: rpc.Command{Shell: "x"}}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record of the executed session", func() { <-executed.Done() })
	attached, _, err := c.Attach(t.Context(), rpc.AttachParams{SessionID: upper}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record of the attached session", func() { <-attached.Done() })
	if executed.ID() != lower || attached.ID() != lower {
		t.Errorf("%s, %s", executed.ID(), attached.ID())
	}
}

// TestAttachByName: events have the id of a session, also if it is attached to by its name.
func TestAttachByName(t *testing.T) {
	record := fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":"alice/%s","seq":4,"exit_code":0}}`, session1)
	c := dialScripted(t, []string{connected},
		fmt.Sprintf(`{"jsonrpc":"2.0","id":"%%s","result":{"session_id":"alice/%s","name":"build","state":"running"}}`, session1),
		`{"jsonrpc":"2.0","id":"%s","result":{}}`+"\n"+record)
	s, _, err := c.Attach(t.Context(), rpc.AttachParams{SessionID: "alice/build"}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() { <-s.Done() })
	if s.ID() != "alice/"+session1 {
		t.Error(s.ID())
	}
}

// TestEventsAfterABlockedCallback: events that are received while a callback blocks are delivered
// in order.
func TestEventsAfterABlockedCallback(t *testing.T) {
	event := func(method string, seq int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{"session_id":%q,"seq":%d,"type":"stdout","data":"x"}}`, method, session1, seq)
	}
	reply := `{"jsonrpc":"2.0","id":"%s","result":{}}`
	all := []string{reply, event("process.started", 1), event("process.output", 2), event("process.paused", 3), event("process.output", 4), event("process.completed", 5)}
	c := dialScripted(t, []string{connected}, strings.Join(all, "\n"))
	var delivered []int64
	unblock := make(chan struct{})
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
		Window: 1 << 20,
		State:  func(e rpc.StateEvent) { delivered = append(delivered, e.Seq) },
		Output: func(o *Output) { <-unblock; delivered = append(delivered, o.Seq) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return s.Seq() == 5 }) {
		t.Fatalf("received events up to %d, want 5", s.Seq())
	}
	close(unblock)
	within(t, "the record", func() {
		if rec, err := s.Wait(context.Background()); err != nil || rec.Seq != 5 || fmt.Sprint(delivered) != "[1 2 3 4]" {
			t.Errorf("record %+v, error %v, events %v", rec, err, delivered)
		}
	})
}

// TestExitedWithTheSeqOfAnotherEvent: process.exited has the seq of the event before it, and is
// delivered once.
func TestExitedWithTheSeqOfAnotherEvent(t *testing.T) {
	const notice = `{"jsonrpc":"2.0","method":"process.exited","params":{"session_id":"` + session1 + `","seq":1,"exit_code":3,"signal":null}}`
	const started = `{"jsonrpc":"2.0","method":"process.started","params":{"session_id":"` + session1 + `","seq":1,"status":"started","pid":2,"pgid":2}}`
	const completed = `{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":"` + session1 + `","seq":2,"status":"failed"}}`
	for name, window := range map[string]int64{"without a window": 0, "with a window": 100} {
		t.Run(name, func(t *testing.T) {
			c := dialScripted(t, []string{connected}, `{"jsonrpc":"2.0","id":"%s","result":{}}`+"\n"+started+"\n"+notice+"\n"+notice+"\n"+completed)
			var delivered []string
			s, err := c.Execute(t.Context(), rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}, Events{
				Window: window,
				State:  func(e rpc.StateEvent) { delivered = append(delivered, e.Status) },
				Exited: func(e rpc.Exited) { delivered = append(delivered, fmt.Sprint("exited ", *e.ExitCode)) },
			})
			if err != nil {
				t.Fatal(err)
			}
			within(t, "Wait", func() { _, err = s.Wait(context.Background()) })
			if got := strings.Join(delivered, ", "); err != nil || got != "started, exited 3" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestReaderWithoutReaders(t *testing.T) {
	c := dialScripted(t, []string{connected}, `{"jsonrpc":"2.0","id":"%s","result":{}}`)
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{Command: rpc.Command{Shell: "x"}}, Events{Window: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Reader of a session without Events.Readers does not panic")
		}
	}()
	s.Reader(rpc.StreamStdout)
}
