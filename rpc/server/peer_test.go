//go:build linux

package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// peer is a raw client. It sends text unchanged, and reads a message only when it is asked for
// one.
type peer struct {
	t       testing.TB
	ws      *websocket.Conn
	tcp     *net.TCPConn
	conn    net.Conn // for frames: tcp, or TLS above it
	resp    *http.Response
	pending []*message // read, and not yet asked for
	ids     int
	hello   rpc.Connected
}

type dialing struct {
	path      string
	header    http.Header
	host      string
	protocols []string
	below     func(net.Conn) net.Conn // what TLS is above, in place of the connection; may be nil
}

// dial connects and reads connected.
func (s *service) dial(t testing.TB, path ...string) *peer {
	t.Helper()
	d := dialing{path: "/ws"}
	if len(path) > 0 {
		d.path = path[0]
	}
	p, err := s.tryDial(t, d)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	p.decode(p.notification("connected").Params, &p.hello)
	return p
}

// tryDial connects and reads nothing. After a refusal the peer has the response.
func (s *service) tryDial(t testing.TB, d dialing) (*peer, error) {
	t.Helper()
	p := &peer{t: t}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
		if err == nil {
			p.tcp, p.conn = c.(*net.TCPConn), c
			if s.secure != nil { // below the ws:// of the library
				if d.below != nil {
					c = d.below(c)
				}
				p.conn = tls.Client(c, s.secure)
			}
		}
		return p.conn, err
	}}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, "ws://"+s.address+d.path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: d.header, Host: d.host, Subprotocols: d.protocols,
	})
	p.resp = resp
	if err != nil {
		return p, err
	}
	ws.SetReadLimit(rpc.MaxFrameBytes) // the protocol: no frame over 1 MiB
	p.ws = ws
	t.Cleanup(func() { _ = ws.CloseNow() })
	return p, nil
}

// message is a JSON-RPC message, or a batch of them.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *wireError      `json:"error"`
	batch   []*message
	text    string
	session string // of the params
}

type wireError struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Data    map[string]any `json:"data"`
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if err := p.write(websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

func (p *peer) write(typ websocket.MessageType, b []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	return p.ws.Write(ctx, typ, b)
}

// read reads the next message.
func (p *peer) read() (*message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	typ, b, err := p.ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	if typ != websocket.MessageText {
		return nil, errors.New("a binary message")
	}
	m := &message{text: string(b)}
	if b[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(b, &all); err != nil {
			return nil, fmt.Errorf("%w in %.200s", err, b)
		}
		for _, raw := range all {
			x := &message{}
			if err := x.parse(raw); err != nil {
				return nil, err
			}
			m.batch = append(m.batch, x)
		}
		return m, nil
	}
	return m, m.parse(b)
}

// outputHead begins every process.output of the server. Tests read many of those, so they are
// decoded only when needed.
const outputHead = `{"jsonrpc":"2.0","method":"process.output","params":`

func (m *message) parse(b []byte) error {
	m.text = string(b)
	if id := len(outputHead + `{"session_id":"`); bytes.HasPrefix(b, []byte(outputHead)) && len(b) > id+36 {
		m.Method, m.Params = "process.output", b[len(outputHead):len(b)-1]
		m.session = string(b[id : id+36])
		return nil
	}
	if err := json.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w in %.200s", err, b)
	}
	if m.JSONRPC != "2.0" {
		return fmt.Errorf("jsonrpc %q in %.200s", m.JSONRPC, b)
	}
	if m.Method != "" {
		var of struct {
			SessionID string `json:"session_id"`
		}
		_ = json.Unmarshal(m.Params, &of)
		m.session = of.SessionID
	} else if (m.Result == nil) == (m.Error == nil) || m.ID == nil {
		return fmt.Errorf("neither result nor error, or both, or no id: %.200s", b)
	}
	return nil
}

// next returns the next message that ok accepts, and keeps the others.
func (p *peer) next(what string, ok func(*message) bool) *message {
	p.t.Helper()
	for i, m := range p.pending {
		if ok(m) {
			p.pending = append(p.pending[:i], p.pending[i+1:]...)
			return m
		}
	}
	for {
		m, err := p.read()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", what, err)
		}
		if m.Method != "" {
			p.notifiedAsDocumented(m)
		}
		if ok(m) {
			return m
		}
		p.pending = append(p.pending, m)
	}
}

func (p *peer) any() *message { return p.next("anything", func(*message) bool { return true }) }

func (p *peer) notification(method string) *message {
	p.t.Helper()
	return p.next(method, func(m *message) bool { return m.Method == method })
}

// event returns the next event of that method of a session.
func (p *peer) event(method, session string) *message {
	p.t.Helper()
	return p.next(method, func(m *message) bool { return m.Method == method && m.session == session })
}

// reply returns the reply with an id, which is raw JSON.
func (p *peer) reply(id string) *message {
	p.t.Helper()
	return p.next("the reply to "+id, func(m *message) bool { return m.Method == "" && string(m.ID) == id })
}

// request sends a request with a new id, which it returns.
func (p *peer) request(method string, params any) string {
	p.t.Helper()
	p.ids++
	id := fmt.Sprintf(`"r%d"`, p.ids)
	p.send(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, text(params))
	return id
}

func (p *peer) call(method string, params any) *message {
	p.t.Helper()
	m := p.reply(p.request(method, params))
	p.asDocumented(method, m)
	return m
}

// ok calls and decodes the result.
func (p *peer) ok(method string, params, result any) {
	p.t.Helper()
	p.decode(p.good(p.call(method, params)).Result, result)
}

func (p *peer) good(m *message) *message {
	p.t.Helper()
	if m.Error != nil {
		p.t.Fatalf("an error: %s", m.text)
	}
	return m
}

// fails calls and expects an error of that code.
func (p *peer) fails(code int, method string, params any) *wireError {
	p.t.Helper()
	return p.bad(code, p.call(method, params))
}

func (p *peer) bad(code int, m *message) *wireError {
	p.t.Helper()
	if m.Error == nil || m.Error.Code != code {
		p.t.Fatalf("want error %d: %.600s", code, m.text)
	}
	if m.Error.Data["kind"] == nil {
		p.t.Fatalf("an error without a kind: %s", m.text)
	}
	return m.Error
}

func (p *peer) decode(raw json.RawMessage, v any) {
	p.t.Helper()
	if v == nil {
		return
	}
	if err := json.Unmarshal(raw, v); err != nil {
		p.t.Fatalf("%v in %.300s", err, raw)
	}
}

// text returns params as JSON. A string is JSON already.
func text(params any) string {
	if s, ok := params.(string); ok {
		return s
	}
	b, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return string(b)
}

type object = map[string]any

// with adds members to an object.
func with(o object, more ...any) object {
	all := object{}
	for k, v := range o {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

// start executes and returns the id of the new session.
func (p *peer) start(params object) string {
	p.t.Helper()
	var r rpc.ExecuteResult
	p.ok("execute", params, &r)
	if r.Status != "started" || r.PID <= 0 || r.PGID <= 0 || !r.Created || r.Containment == "" {
		p.t.Fatalf("execute: %+v", r)
	}
	return r.SessionID
}

// started executes, and waits until the command wrote a line "ready".
func (p *peer) started(params object) string {
	p.t.Helper()
	id := p.start(params)
	p.next("ready", func(m *message) bool {
		return m.Method == "process.output" && m.session == id && strings.Contains(m.text, `ready\n`)
	})
	return id
}

// run executes and follows the session to its end.
func (p *peer) run(params object) *transcript {
	p.t.Helper()
	if params["session_id"] == nil {
		params = with(params, "session_id", uuid.NewString())
	}
	x := &transcript{id: params["session_id"].(string)}
	p.good(p.call("execute", params))
	p.follow(x)
	return x
}

// follow reads the events of a session to its end.
func (p *peer) follow(x *transcript) {
	p.t.Helper()
	for x.record == nil {
		m := p.next("events of "+x.id, func(m *message) bool { return m.session == x.id && m.Method != "" })
		if err := x.take(m); err != nil {
			p.t.Fatal(err)
		}
	}
}

// completed waits for the completion record and skips the other events of the session.
func (p *peer) completed(id string) *rpc.Completion {
	p.t.Helper()
	var rec rpc.Completion
	p.decode(p.event("process.completed", id).Params, &rec)
	return &rec
}

// transcript collects the events of a session on a connection and checks them: positions follow
// each other without a hole, and the record is the last event.
type transcript struct {
	id      string
	seq     int64
	order   []string // methods; consecutive outputs of one type are one
	outputs []rpc.Output
	bytes   map[string]int64
	data    map[string][]byte
	hash    func(stream string, data []byte) // takes the data in place of data
	gaps    []rpc.Gap
	record  *rpc.Completion
}

func (x *transcript) stdout() string { return string(x.data["stdout"]) }
func (x *transcript) stderr() string { return string(x.data["stderr"]) }

func (x *transcript) take(m *message) error {
	if x.record != nil {
		return fmt.Errorf("%s after process.completed", m.Method)
	}
	var at struct{ Seq int64 }
	size := int64(1)
	what := m.Method
	if m.Method != "process.output" {
		if err := json.Unmarshal(m.Params, &at); err != nil {
			return err
		}
	}
	switch m.Method {
	case "process.output":
		var o rpc.Output
		if err := json.Unmarshal(m.Params, &o); err != nil {
			return fmt.Errorf("%w in %.300s", err, m.text)
		}
		at.Seq = o.Seq
		data, err := x.output(&o)
		if err != nil {
			return err
		}
		size = int64(len(data))
		if o.Replaced > 0 {
			size = at.Seq - x.seq
		}
		what = o.Type
	case "process.gap":
		var g rpc.Gap
		if err := json.Unmarshal(m.Params, &g); err != nil {
			return err
		}
		if g.FromSeq != x.seq || g.LostBytes > g.Seq-g.FromSeq {
			return fmt.Errorf("at %d: %+v", x.seq, g)
		}
		size = g.Seq - g.FromSeq
		x.gaps = append(x.gaps, g)
	case "process.exited", "process.spool": // carry the place that the log has, and take none
		size = 0
	case "process.completed":
		x.record = &rpc.Completion{}
		if err := json.Unmarshal(m.Params, x.record); err != nil {
			return err
		}
	}
	if at.Seq != x.seq+size {
		return fmt.Errorf("%s: seq %d, want %d + %d", m.Method, at.Seq, x.seq, size)
	}
	x.seq = at.Seq
	if len(x.order) == 0 || x.order[len(x.order)-1] != what {
		x.order = append(x.order, what)
	}
	return nil
}

func (x *transcript) output(o *rpc.Output) ([]byte, error) {
	data := []byte(o.Data)
	if o.Encoding == "base64" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(o.Data); err != nil {
			return nil, err
		}
	}
	if len(data) == 0 || len(data) > rpc.MaxOutputBytes && o.Replaced == 0 {
		return nil, fmt.Errorf("an output of %d bytes", len(data))
	}
	if x.data == nil {
		x.data, x.bytes = map[string][]byte{}, map[string]int64{}
	}
	x.bytes[o.Type] += int64(len(data))
	if x.hash != nil {
		x.hash(o.Type, data)
		return data, nil
	}
	x.outputs = append(x.outputs, *o)
	x.data[o.Type] = append(x.data[o.Type], data...)
	return data, nil
}

// reset ends the connection by RST, without a close frame or a FIN.
func (p *peer) reset() {
	_ = p.tcp.SetLinger(0)
	_ = p.tcp.Close()
	_ = p.ws.CloseNow()
}

// over reads until the connection ends and returns the error.
func (p *peer) over() error {
	for {
		if _, err := p.read(); err != nil {
			return err
		}
	}
}

// closed expects the server to close the connection with that code.
func (p *peer) closed(code websocket.StatusCode) {
	p.t.Helper()
	if err := p.over(); websocket.CloseStatus(err) != code {
		p.t.Fatalf("want close %d: %v", code, err)
	}
}

// quick fails if f takes longer than d.
func quick(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	if took := time.Since(begin); took > d {
		t.Errorf("%s took %v", what, took)
	}
}
