//go:build linux

package codex_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/coder/websocket"
)

// peer is a connection of a client, used by one goroutine.
type peer struct {
	t       testing.TB
	codex   bool // the server is Codex's own
	ws      *websocket.Conn
	tcp     net.Conn
	ids     int
	session string
	events  []event // that were received and not taken
	swapped bool    // an event came before one with a smaller seq
}

// message is a message of the server.
type message struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

// event is a notification about a process.
type event struct {
	Method    string `json:"-"`
	ProcessID string
	Seq       int64
	Stream    string
	Chunk     []byte
	ExitCode  int
}

func (e event) String() string {
	switch e.Method {
	case "process/output":
		return fmt.Sprintf("%d %s %q", e.Seq, e.Stream, e.Chunk)
	case "process/exited":
		return fmt.Sprintf("%d exited %d", e.Seq, e.ExitCode)
	}
	return fmt.Sprintf("%d closed", e.Seq)
}

// dial connects without initialize. caller may be "".
func (s *service) dial(caller string) (*peer, error) {
	p := &peer{t: s.t, codex: s.codex}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		p.tcp = conn
		return conn, err
	}}
	ws, _, err := websocket.Dial(ctx, "ws://"+s.address+s.path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"X-Caller": {caller}},
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(64 << 20)
	p.ws = ws
	s.t.Cleanup(func() { _ = ws.CloseNow() })
	return p, nil
}

func (s *service) connect(caller string) *peer {
	s.t.Helper()
	p, err := s.dial(caller)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// client connects and makes a session.
func (s *service) client() *peer {
	s.t.Helper()
	p := s.connect("")
	p.initialize("")
	return p
}

// initialize makes a session, or resumes one.
func (p *peer) initialize(resume string) {
	p.t.Helper()
	params := map[string]any{"clientName": "test", "resumeSessionId": nil}
	if resume != "" {
		params["resumeSessionId"] = resume
	}
	var result struct{ SessionID string }
	p.mustCall("initialize", params, &result)
	p.session = result.SessionID
	p.send(`{"method":"initialized","params":{}}`)
}

func (p *peer) send(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := p.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// drop resets the connection.
func (p *peer) drop() {
	_ = p.tcp.(*net.TCPConn).SetLinger(0)
	_ = p.tcp.Close()
}

func (p *peer) read() (message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	var m message
	_, text, err := p.ws.Read(ctx)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	return m, nil
}

func (p *peer) next() message {
	p.t.Helper()
	m, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

func toEvent(t testing.TB, m message) event {
	e := event{Method: m.Method}
	if err := json.Unmarshal(m.Params, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// request sends a request and returns its id.
func (p *peer) request(method string, params any) string {
	p.t.Helper()
	p.ids++
	b, err := json.Marshal(map[string]any{"id": p.ids, "method": method, "params": params})
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(string(b))
	return strconv.Itoa(p.ids)
}

// answer returns the reply with that id. Events before it are kept.
func (p *peer) answer(id string) message {
	p.t.Helper()
	for {
		m := p.next()
		if m.Method != "" {
			p.events = append(p.events, toEvent(p.t, m))
			continue
		}
		if string(m.ID) == id {
			return m
		}
		p.t.Fatalf("a reply to %s instead of %s", m.ID, id)
	}
}

func (p *peer) call(method string, params any) message {
	p.t.Helper()
	return p.answer(p.request(method, params))
}

func (p *peer) mustCall(method string, params, result any) {
	p.t.Helper()
	m := p.call(method, params)
	if m.Error != nil {
		p.t.Fatalf("%s: %+v", method, *m.Error)
	}
	if result != nil {
		if err := json.Unmarshal(m.Result, result); err != nil {
			p.t.Fatal(err)
		}
	}
}

// refused calls a method that must fail with that code, and returns the message of the error.
func (p *peer) refused(method string, params any, code int) string {
	p.t.Helper()
	m := p.call(method, params)
	if m.Error == nil || m.Error.Code != code {
		p.t.Fatalf("%s: %s %+v, want the error %d", method, m.Result, m.Error, code)
	}
	return m.Error.Message
}

// outcome calls a method, and returns "done", or the code of its error.
func (p *peer) outcome(method string, params any) string {
	p.t.Helper()
	if m := p.call(method, params); m.Error != nil {
		return fmt.Sprint("error ", m.Error.Code)
	}
	return "done"
}

// command returns the params of a process/start of a shell script.
func command(id, script string) map[string]any {
	return map[string]any{
		"processId": id, "argv": []string{"/bin/sh", "-c", script}, "cwd": "file:///",
		"env": map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "MARK": id}, "tty": false, "arg0": nil,
	}
}

func (p *peer) start(id, script string) {
	p.t.Helper()
	p.mustCall("process/start", command(id, script), nil)
}

// event returns the next event.
func (p *peer) event() event {
	p.t.Helper()
	if len(p.events) > 0 {
		e := p.events[0]
		p.events = p.events[1:]
		return e
	}
	m := p.next()
	if m.Method == "" {
		p.t.Fatalf("a reply: %+v", m)
	}
	return toEvent(p.t, m)
}

// eventAt returns the next event, which has to be that of a process with that seq. Codex's server may send
// others of the process before it.
func (p *peer) eventAt(id string, seq int64) event {
	p.t.Helper()
	var before []event
	e := p.event()
	for ; p.codex && e.ProcessID == id && e.Seq > seq && len(before) < 10; e = p.event() {
		before = append(before, e)
	}
	if e.ProcessID != id || e.Seq != seq {
		p.t.Fatalf("event %v of %s, want %d of %s", e, e.ProcessID, seq, id)
	}
	p.swapped = p.swapped || before != nil
	p.events = append(before, p.events...)
	return e
}

// ended reads the events of a process until it is closed, and checks their order, except that Codex's server
// may report the exit before the last output. It returns the output and the exit code.
func (p *peer) ended(id string) (output string, code int) {
	p.t.Helper()
	exited := false
	for seq := int64(1); ; seq++ {
		e := p.eventAt(id, seq)
		switch {
		case e.Method == "process/output" && (!exited || p.codex):
			output += string(e.Chunk)
		case e.Method == "process/exited" && !exited:
			exited, code = true, e.ExitCode
		case e.Method == "process/closed" && exited:
			return output, code
		default:
			p.t.Fatalf("event %v out of order", e)
		}
	}
}

type readResult struct {
	Chunks []struct {
		Seq    int64
		Stream string
		Chunk  []byte
	}
	NextSeq        int64
	Exited, Closed bool
	ExitCode       *int
	Failure        *string
}

func (p *peer) readFrom(id string, after int64, more map[string]any) (r readResult) {
	p.t.Helper()
	params := map[string]any{"processId": id, "afterSeq": after}
	for k, v := range more {
		params[k] = v
	}
	p.mustCall("process/read", params, &r)
	return r
}

// write writes to a process and returns the status.
func (p *peer) write(id, text, writeID string) string {
	p.t.Helper()
	var r struct{ Status string }
	chunk := base64.StdEncoding.EncodeToString([]byte(text))
	p.mustCall("process/write", map[string]any{"processId": id, "chunk": chunk, "writeId": writeID}, &r)
	return r.Status
}

func (p *peer) terminate(id string) (running bool) {
	p.t.Helper()
	var r struct{ Running bool }
	p.mustCall("process/terminate", map[string]any{"processId": id}, &r)
	return r.Running
}
