package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// write is a write request as a server receives it.
type write struct {
	ID     string
	Method string
	Params struct {
		rpc.WriteParams
		ID string // of $/cancelRequest
	}
}

func (w *write) String() string {
	if w.Method != rpc.MethodWrite {
		return w.Method
	}
	offset := "none"
	if w.Params.Offset != nil {
		offset = fmt.Sprint(*w.Params.Offset)
	}
	return fmt.Sprintf("%s+%d eof %t", offset, len(*w.Params.Data), w.Params.EOF)
}

// inputServer is a server whose connections answer execute and attach, and pass on other requests.
type inputServer struct {
	url      string
	received chan *write

	mu sync.Mutex
	ws *websocket.Conn // the newest
}

func newInputServer(t *testing.T, capabilities ...string) *inputServer {
	announced, _ := json.Marshal(capabilities)
	s := &inputServer{received: make(chan *write, 1000)}
	s.url = serveFunc(t, func(ctx context.Context, ws *websocket.Conn) {
		s.mu.Lock()
		s.ws = ws
		s.mu.Unlock()
		send(ctx, ws, `{"jsonrpc":"2.0","method":"connected","params":{"connection_id":"c","capabilities":`+string(announced)+`,"limits":{"max_message_bytes":1048576,"max_in_flight":40}}}`)
		for {
			_, b, err := ws.Read(ctx)
			if err != nil {
				return
			}
			m := &write{}
			if err := json.Unmarshal(b, m); err != nil {
				t.Errorf("%v: %.80q", err, b)
				return
			}
			switch m.Method {
			case rpc.MethodExecute:
				send(ctx, ws, `{"jsonrpc":"2.0","id":"`+m.ID+`","result":{"session_id":"`+m.Params.SessionID+`"}}`)
			case rpc.MethodAttach:
				send(ctx, ws, `{"jsonrpc":"2.0","id":"`+m.ID+`","result":{"state":"running"}}`)
			default:
				s.received <- m
			}
		}
	})
	return s
}

// next returns the next n requests.
func (s *inputServer) next(t *testing.T, n int) (all []*write) {
	t.Helper()
	for len(all) < n {
		select {
		case m := <-s.received:
			all = append(all, m)
		case <-time.After(testTimeout):
			t.Fatalf("%d requests of %d: %v", len(all), n, all)
		}
	}
	return all
}

func (s *inputServer) answer(m *write, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	send(context.Background(), s.ws, `{"jsonrpc":"2.0","id":"`+m.ID+`",`+result+`}`)
}

func (s *inputServer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.ws.CloseNow()
}

const accepted = `"result":{"stdin_bytes":0}`

// execute executes on s.
func (s *inputServer) execute(t *testing.T, o Options) *Session {
	t.Helper()
	c := dial(t, s.url, o)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	x, err := c.Execute(ctx, rpc.ExecuteParams{SessionID: "x", Stdin: rpc.StdinPipe}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func expect(t *testing.T, got []*write, want ...string) {
	t.Helper()
	var text []string
	for _, m := range got {
		text = append(text, m.String())
	}
	if strings.Join(text, ", ") != strings.Join(want, ", ") {
		t.Errorf("received %q, want %q", text, want)
	}
}

// writeInput writes n bytes that depend on their position, and returns all of them.
func writeInput(t *testing.T, w *StdinWriter, n int) []byte {
	t.Helper()
	text := []byte(strings.Repeat("0123456789 \n\"\\\tab", n/17+1))[:n]
	if k, err := w.Write(text); k != n || err != nil {
		t.Fatalf("Write: %d, %v", k, err)
	}
	return text
}

// TestStdinWriterDoesNotWait: it sends without replies, in order and with offsets, and Close waits
// for all of them.
func TestStdinWriterDoesNotWait(t *testing.T) {
	s := newInputServer(t)
	w := s.execute(t, Options{}).StdinWriter(context.Background())
	within(t, "Write", func() { writeInput(t, w, 5*maxInputPiece/2) })
	got := s.next(t, 3)
	expect(t, got, "0+65536 eof false", "65536+65536 eof false", "131072+32768 eof false")
	closed := make(chan error)
	go func() { closed <- w.Close() }()
	got = append(got, s.next(t, 1)...)
	expect(t, got[3:], "163840+0 eof true")
	for _, m := range got[:3] {
		s.answer(m, accepted)
	}
	select {
	case err := <-closed:
		t.Errorf("Close returned %v before the last reply", err)
	case <-time.After(20 * time.Millisecond): // that it does not return cannot be waited for
	}
	s.answer(got[3], accepted)
	if err := <-closed; err != nil || w.Err() != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write after Close")
	}
}

// TestStdinWriterIsBounded: it waits while too much has no reply, and when its context ends it
// withdraws or cancels all of that.
func TestStdinWriterIsBounded(t *testing.T) {
	s := newInputServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	w := s.execute(t, Options{}).StdinWriter(ctx)
	result := make(chan error)
	go func() {
		_, err := w.Write(make([]byte, 4*maxUnanswered))
		result <- err
	}()
	const most = maxUnanswered/(maxInputPiece+inputOverhead) + 1
	got := s.next(t, most)
	select {
	case m := <-s.received:
		t.Errorf("received %v", m)
	case err := <-result:
		t.Error(err)
	case <-time.After(20 * time.Millisecond): // that nothing is sent cannot be waited for
	}
	s.answer(got[0], accepted)
	s.next(t, 1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-w.Done()
	canceled := s.next(t, most)
	for i, m := range canceled {
		if m.Method != rpc.MethodCancelRequest || i > 0 && m.Params.ID == canceled[i-1].Params.ID {
			t.Errorf("received %v", m)
		}
	}
}

// TestStdinWriterKeepsToMaxInFlight: half of the requests that the server accepts are left to other
// calls.
func TestStdinWriterKeepsToMaxInFlight(t *testing.T) {
	s := newInputServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	w := s.execute(t, Options{}).StdinWriter(ctx)
	result := make(chan int)
	go func() {
		n := 0
		for err := error(nil); err == nil; n++ {
			_, err = w.Write([]byte("x"))
		}
		result <- n - 1
	}()
	s.next(t, 20)
	select {
	case m := <-s.received:
		t.Errorf("received %v", m)
	case <-time.After(20 * time.Millisecond): // that nothing is sent cannot be waited for
	}
	cancel()
	if n := <-result; n != 20 {
		t.Errorf("%d writes", n)
	}
	<-w.Done()
}

// TestStdinWriterSendsAgain: what had no reply when a connection was lost is sent on the next one,
// in its order and before what follows.
func TestStdinWriterSendsAgain(t *testing.T) {
	s := newInputServer(t)
	w := s.execute(t, Options{Reconnect: &Reconnect{MinDelay: time.Millisecond}}).StdinWriter(context.Background())
	text := writeInput(t, w, 3*maxInputPiece)
	before := s.next(t, 3)
	s.answer(before[0], accepted)
	for w.firstUnanswered() != before[1].ID { // the reply has arrived
		time.Sleep(time.Millisecond)
	}
	s.drop()
	after := s.next(t, 2)
	text = append(text, writeInput(t, w, 10)...)
	after = append(after, s.next(t, 1)...)
	expect(t, after, "65536+65536 eof false", "131072+65536 eof false", "196608+10 eof false")
	var data []byte
	for _, m := range append(before[:1:1], after...) {
		data = append(data, *m.Params.Data...)
	}
	if !bytes.Equal(data, text) {
		t.Error("other bytes than were written")
	}
	s.drop() // while nothing is sent
	after = s.next(t, 3)
	expect(t, after, "65536+65536 eof false", "131072+65536 eof false", "196608+10 eof false")
	for _, m := range after {
		s.answer(m, accepted)
	}
	go func() { s.answer(s.next(t, 1)[0], accepted) }()
	within(t, "Close", func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (w *StdinWriter) firstUnanswered() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.unanswered) == 0 {
		return ""
	}
	return w.unanswered[0].id
}

// TestStdinWriterFails: with the error of a reply, or because the connection was lost and the
// client does not reconnect.
func TestStdinWriterFails(t *testing.T) {
	s := newInputServer(t)
	w := s.execute(t, Options{}).StdinWriter(context.Background())
	writeInput(t, w, 2*maxInputPiece)
	s.answer(s.next(t, 2)[0], fmt.Sprintf(`"error":{"code":%d,"message":"closed"}`, rpc.CodeStdinClosed))
	within(t, "the failure", func() { <-w.Done() })
	var refused *rpc.Error
	if _, err := w.Write([]byte("x")); !errors.As(err, &refused) || !errors.As(w.Err(), &refused) || refused.Code != rpc.CodeStdinClosed {
		t.Errorf("%v, %v", err, w.Err())
	}
	if err := w.Close(); !errors.As(err, &refused) {
		t.Error(err)
	}

	lost := newInputServer(t)
	w = lost.execute(t, Options{}).StdinWriter(context.Background())
	writeInput(t, w, 10)
	lost.next(t, 1)
	lost.drop()
	within(t, "the loss", func() { <-w.Done() })
	if !errors.Is(w.Err(), ErrClosed) {
		t.Error(w.Err())
	}
}

// TestStdinWriterOfAttachedSession: one message at a time, without offsets, and on the connection
// that is in use then.
func TestStdinWriterOfAttachedSession(t *testing.T) {
	s := newInputServer(t)
	c := dial(t, s.url, Options{Reconnect: &Reconnect{MinDelay: time.Millisecond}})
	x, _, err := c.Attach(context.Background(), rpc.AttachParams{SessionID: "X"}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	w := x.StdinWriter(context.Background())
	result := make(chan error)
	go func() {
		_, err := w.Write(make([]byte, 2*maxInputPiece))
		result <- err
	}()
	first := s.next(t, 1)
	expect(t, first, "none+65536 eof false")
	select {
	case m := <-s.received:
		t.Errorf("received %v before the reply", m)
	case <-time.After(20 * time.Millisecond): // that nothing is sent cannot be waited for
	}
	s.answer(first[0], accepted)
	s.answer(s.next(t, 1)[0], accepted)
	if err := <-result; err != nil {
		t.Error(err)
	}
	for w.firstUnanswered() != "" {
		time.Sleep(time.Millisecond)
	}
	lost := c.currentConnection()
	s.drop()
	<-lost.done
	writeInput(t, w, 5)
	go func() {
		s.answer(s.next(t, 1)[0], accepted)
		s.answer(s.next(t, 1)[0], accepted)
	}()
	within(t, "Close", func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestInputOfAttach: what a client that has attached writes is sent again after a lost connection, with
// offsets of its own.
func TestInputOfAttach(t *testing.T) {
	s := newInputServer(t, "writer")
	c := dial(t, s.url, Options{Reconnect: &Reconnect{}})
	attach := func() *Session {
		x, _, err := c.Attach(t.Context(), rpc.AttachParams{SessionID: "X"}, Events{})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := attach()
	w := x.StdinWriter(t.Context())
	within(t, "Write", func() { writeInput(t, w, 3*maxInputPiece/2) })
	first := s.next(t, 2)
	expect(t, first, "0+65536 eof false", "65536+32768 eof false")
	s.answer(first[0], accepted)
	s.drop()
	again := s.next(t, 1)
	for again[0].Params.Offset != nil && *again[0].Params.Offset == 0 { // the answer was lost
		again = s.next(t, 1)
	}
	expect(t, again, "65536+32768 eof false")
	name := first[0].Params.Writer
	if name == "" || first[1].Params.Writer != name || again[0].Params.Writer != name {
		t.Errorf("the writers are %q, %q and %q", name, first[1].Params.Writer, again[0].Params.Writer)
	}
	s.answer(again[0], accepted)
	closed := make(chan error)
	go func() { closed <- w.Close() }()
	s.answer(s.next(t, 1)[0], accepted)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	go func() { closed <- x.WriteBytes(t.Context(), []byte("y"), false) }()
	last := s.next(t, 1)
	expect(t, last, "98304+1 eof false")
	if last[0].Params.Writer != name {
		t.Errorf("WriteBytes has the writer %q", last[0].Params.Writer)
	}
	s.answer(last[0], accepted)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
