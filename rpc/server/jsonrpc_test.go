//go:build linux

package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestRequestsAreAnswered: each message is answered, malformed or not, and none closes the
// connection.
func TestRequestsAreAnswered(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	const null = "null"
	for _, test := range []struct {
		send string
		id   string
		code int // 0: a result
	}{
		{`{`, null, -32700},
		{``, null, -32700},
		{`   `, null, -32700},
		{`nonsense`, null, -32700},
		{`{"jsonrpc":"2.0","id":1,"method":"pong"`, null, -32700},
		{`{"jsonrpc":"2.0","id":1,"method":"pong"}}`, null, -32700},
		{`{"jsonrpc":"2.0","id":1,"method":"pong"} {}`, null, -32700},
		{`{'jsonrpc':'2.0','id':1,'method':'pong'}`, null, -32700},
		{`{"jsonrpc":"2.0","id":01,"method":"pong"}`, null, -32700},
		{`[{"jsonrpc":"2.0","id":1,"method":"pong"},`, null, -32700},
		{`{"jsonrpc":"2.0","id":1,"method":"pong","params":{"a":NaN}}`, null, -32700},
		{`[]`, null, -32600},
		{`{}`, null, -32600},
		{`1`, null, -32600},
		{`"pong"`, null, -32600},
		{`null`, null, -32600},
		{`true`, null, -32600},
		{`{"jsonrpc":"1.0","id":1,"method":"pong"}`, "1", -32600},
		{`{"jsonrpc":2.0,"id":2,"method":"pong"}`, "2", -32600},
		{`{"id":3,"method":"pong"}`, "3", -32600},
		{`{"jsonrpc":"2.0","id":4}`, "4", -32600},
		{`{"jsonrpc":"2.0","id":5,"method":1}`, "5", -32600},
		{`{"jsonrpc":"2.0","id":6,"method":null}`, "6", -32600},
		{`{"jsonrpc":"2.0","id":7,"method":"pong","params":1}`, "7", -32600},
		{`{"jsonrpc":"2.0","id":8,"method":"pong","params":"x"}`, "8", -32600},
		{`{"jsonrpc":"2.0","id":9,"method":"pong","params":false}`, "9", -32600},
		{`{"jsonrpc":"2.0","id":{},"method":"pong"}`, null, -32600},
		{`{"jsonrpc":"2.0","id":[1],"method":"pong"}`, null, -32600},
		{`{"jsonrpc":"2.0","id":true,"method":"pong"}`, null, -32600},
		{`{"jsonrpc":"2.0","method":1}`, null, -32600},
		{`{"jsonrpc":"2.0","id":` + strings.Repeat("1", 2000) + `,"method":"pong"}`, null, -32600},
		{`{"jsonrpc":"2.0","id":11,"method":"nope"}`, "11", -32601},
		{`{"jsonrpc":"2.0","id":12,"method":""}`, "12", -32601},
		{`{"jsonrpc":"2.0","id":13,"method":"Execute"}`, "13", -32601},
		{`{"jsonrpc":"2.0","id":14,"method":"process.output"}`, "14", -32601},
		{`{"jsonrpc":"2.0","id":15,"method":"rpc.nope"}`, "15", -32601},
		{`{"jsonrpc":"2.0","id":"nope","method":"nope","params":{"a":1}}`, `"nope"`, -32601},
		{`{"jsonrpc":"2.0","id":16,"method":"execute"}`, "16", -32602},
		{`{"jsonrpc":"2.0","id":17,"method":"execute","params":null}`, "17", -32602},
		{`{"jsonrpc":"2.0","id":18,"method":"execute","params":[]}`, "18", -32602},
		{`{"jsonrpc":"2.0","id":19,"method":"execute","params":["echo"]}`, "19", -32602},
		{`{"jsonrpc":"2.0","id":20,"method":"list","params":[{},{}]}`, "20", -32602},
		{`{"jsonrpc":"2.0","id":21,"method":"list","params":{"unknown":1}}`, "21", -32602},
		{`{"jsonrpc":"2.0","id":22,"method":"list"}`, "22", 0},
		{`{"jsonrpc":"2.0","id":23,"method":"list","params":null}`, "23", 0},
		{`{"jsonrpc":"2.0","id":24,"method":"list","params":[{}]}`, "24", 0},
		{`{"jsonrpc":"2.0","id":25,"method":"list","params":[]}`, "25", 0},
		{`{"jsonrpc":"2.0","id":26,"method":"list","params":{},"extra":{"a":[]}}`, "26", 0},
		{` {"params":{},"method":"list","id":27 , "jsonrpc":"2.0"} `, "27", 0},
		{`{"jsonrpc":"2.0","id":28,"method":"\u006cist"}`, "28", 0},
		{`{"jsonrpc":"2.0","id":29,"method":"rpc.on","params":{"event":"x"}}`, "29", 0},
		{`{"jsonrpc":"2.0","id":30,"method":"rpc.off","params":["x"]}`, "30", 0},
		{`{"jsonrpc":"2.0","id":31,"method":"pong"}`, "31", 0},
	} {
		p.send("%s", test.send)
		m := p.any()
		if string(m.ID) != test.id {
			t.Errorf("%.100s\nanswered under id %s: %s", test.send, m.ID, m.text)
		}
		if got := m.Error; test.code == 0 && got != nil || test.code != 0 && (got == nil || got.Code != test.code || got.Message == "") {
			t.Errorf("%.100s\nwant %d: %s", test.send, test.code, m.text)
		}
	}
	if x := p.run(object{"command": "echo well"}); x.stdout() != "well\n" {
		t.Errorf("%q", x.stdout())
	}
}

// TestIDsAreEchoed: a reply has the id byte for byte, also null.
func TestIDsAreEchoed(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	for _, id := range []string{`0`, `-1`, `1.5`, `1e3`, `1E+3`, `1.0`, `-0`, `18446744073709551616`, `1e400`, `""`, `"s"`, `"1"`,
		`"\u0073"`, `"\n\"\\\/"`, `"ü😀"`, `"\ud83d\ude00"`, `"\ud800"`, `null`, `"<&>\u2028"`, "\"\u2028\""} {
		for _, method := range []string{"pong", "nope", "execute"} {
			p.send(`{"jsonrpc":"2.0","id":%s,"method":%q}`, id, method)
			if m := p.any(); string(m.ID) != id {
				t.Errorf("%s: the id %s is echoed as %s", method, id, m.text)
			}
		}
		p.send(`[{"jsonrpc":"2.0","id":%s,"method":"pong"}]`, id)
		if m := p.any(); len(m.batch) != 1 || string(m.batch[0].ID) != id {
			t.Errorf("in a batch the id %s is echoed as %s", id, m.text)
		}
	}
}

// TestNotificationsAreNotAnswered: not even if they fail.
func TestNotificationsAreNotAnswered(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	for _, n := range []string{
		`{"jsonrpc":"2.0","method":"pong"}`,
		`{"jsonrpc":"2.0","method":"nope"}`,
		`{"jsonrpc":"2.0","method":"execute"}`,
		`{"jsonrpc":"2.0","method":"control","params":{"type":"EXPLODE"}}`,
		`{"jsonrpc":"2.0","method":"cancel"}`,
		`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":99}}`,
		`{"jsonrpc":"2.0","method":"$/cancelRequest"}`,
		`[{"jsonrpc":"2.0","method":"pong"},{"jsonrpc":"2.0","method":"nope"}]`,
	} {
		p.send("%s", n)
	}
	p.request("pong", nil)
	if m := p.any(); string(m.ID) != `"r1"` {
		t.Errorf("answered: %s", m.text)
	}
	p.send(`{"jsonrpc":"2.0","method":"execute","params":{"command":"echo notified"}}`)
	x := &transcript{}
	x.id = p.notification("process.started").session
	x.seq, x.order = 1, []string{"process.started"}
	p.follow(x)
	if x.stdout() != "notified\n" || x.record.Status != "completed" {
		t.Errorf("%q %+v", x.stdout(), x.record)
	}
}

// TestBatches: a batch is answered in one message after its last request.
func TestBatches(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := uuid.NewString()
	p.send(`[
		{"jsonrpc":"2.0","id":1,"method":"pong"},
		{"jsonrpc":"2.0","method":"pong"},
		{"jsonrpc":"2.0","id":"e","method":"execute","params":{"command":"sleep 0.1; echo batch","session_id":%q}},
		{"jsonrpc":"2.0","id":"w","method":"wait","params":{"session_id":%q,"capture_bytes":100}},
		{"jsonrpc":"2.0","id":"dup","method":"wait","params":{"session_id":%[1]q}},
		{"jsonrpc":"2.0","id":"dup","method":"pong"},
		{"jsonrpc":"2.0","id":-1.50,"method":"nope"},
		{"jsonrpc":"2.0","id":null,"method":"pong"},
		{"id":5},
		7,
		{"jsonrpc":"2.0","method":1},
		[]
	]`, id, id)
	m := p.next("the answer to the batch", func(m *message) bool { return m.batch != nil })
	got := map[string][]int{}
	for _, a := range m.batch {
		code := 0
		if a.Error != nil {
			code = a.Error.Code
		}
		got[string(a.ID)] = append(got[string(a.ID)], code)
	}
	for _, codes := range got {
		slices.Sort(codes)
	}
	want := map[string][]int{`1`: {0}, `"e"`: {0}, `"w"`: {0}, `"dup"`: {0}, `-1.50`: {-32601}, `5`: {-32600},
		`null`: {-32600, -32600, -32600, -32600, 0}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v\n%s", got, want, m.text)
	}
	for _, a := range m.batch {
		if string(a.ID) == `"w"` && !contains(string(a.Result), `"stdout":"batch\n"`) {
			t.Errorf("wait: %s", a.text)
		}
	}

	item := `{"jsonrpc":"2.0","id":%d,"method":"pong"}`
	var items []string
	for i := range 65 {
		items = append(items, fmt.Sprintf(item, i))
	}
	p.send("[%s]", strings.Join(items[:64], ","))
	if m := p.next("64 answers", func(m *message) bool { return m.batch != nil }); len(m.batch) != 64 {
		t.Errorf("%d answers", len(m.batch))
	}
	p.send("[%s]", strings.Join(items, ","))
	p.bad(-32600, p.reply("null"))
	p.send(`[1,2,3]`)
	if m := p.next("3 answers", func(m *message) bool { return m.batch != nil }); len(m.batch) != 3 || m.batch[2].Error.Code != -32600 {
		t.Errorf("%s", m.text)
	}
	if m := p.call("pong", nil); m.Error != nil {
		t.Error(m.text)
	}
}

// TestBatchStartsInOrder: an item of a batch finds the session that an earlier item started.
func TestBatchStartsInOrder(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := uuid.NewString()
	p.send(`[{"jsonrpc":"2.0","id":1,"method":"execute","params":{"command":"cat","stdin":"pipe","session_id":%[1]q}},
		{"jsonrpc":"2.0","id":2,"method":"write","params":{"session_id":%[1]q,"data":"one "}},
		{"jsonrpc":"2.0","id":3,"method":"write","params":{"data":"two\n","eof":true}},
		{"jsonrpc":"2.0","id":4,"method":"wait","params":{"session_id":%[1]q,"capture_bytes":100}}]`, id)
	m := p.next("the answer", func(m *message) bool { return m.batch != nil })
	if len(m.batch) != 4 || !contains(m.text, `"stdin_bytes":8`) || !contains(m.text, `"stdout":"one two\n"`) {
		t.Errorf("%s", m.text)
	}
}

// TestDuplicateIDs: an id in flight is refused, and may be used again when its request is
// answered.
func TestDuplicateIDs(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.start(sleeper)
	for _, test := range []struct{ id, again string }{{`7`, `7`}, {`"seven"`, `"seven"`}, {`"a"`, `"\u0061"`}} {
		p.send(`{"jsonrpc":"2.0","id":%s,"method":"wait","params":{"session_id":%q}}`, test.id, id)
		p.send(`{"jsonrpc":"2.0","id":%s,"method":"list"}`, test.again)
		e := p.bad(-32600, p.reply("null"))
		b, _ := json.Marshal(e.Data["id"])
		var x, y any
		_, _ = json.Unmarshal([]byte(test.again), &x), json.Unmarshal(b, &y)
		if fmt.Sprint(x) != fmt.Sprint(y) {
			t.Errorf("%s: %s", test.again, b)
		}
		p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, test.again)
		p.bad(-32800, p.reply(test.id))
		p.send(`{"jsonrpc":"2.0","id":%s,"method":"pong"}`, test.id)
		p.good(p.reply(test.id))
	}
	// A number and a string are two ids; null is none that could be in flight.
	for _, id := range []string{`8`, `"8"`, `null`, `null`} {
		p.send(`{"jsonrpc":"2.0","id":%s,"method":"wait","params":{"session_id":%q,"timeout":0.1}}`, id, id8(p))
	}
	for _, id := range []string{`8`, `"8"`, `null`, `null`} {
		p.bad(-32004, p.reply(id))
	}
}

// id8 returns the id of the peer's first running session.
func id8(p *peer) string {
	var r struct {
		Sessions []struct {
			SessionID string `json:"session_id"`
		}
	}
	p.ok("list", nil, &r)
	return r.Sessions[len(r.Sessions)-1].SessionID
}

// TestOverload: the 1025th request in flight is refused, and no other.
func TestOverload(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.MaxInFlight = 16 })
	p, q := s.dial(t), s.dial(t)
	id := p.start(sleeper)
	var waits []string
	for range 16 {
		waits = append(waits, p.request("wait", object{"session_id": id}))
	}
	e := p.fails(-32009, "pong", nil)
	if e.Data["limit"] != "max_in_flight" {
		t.Errorf("%+v", e)
	}
	q.ok("pong", nil, nil) // the bound is the connection's
	q.ok("cancel", object{"session_id": id}, nil)
	for _, w := range waits {
		p.good(p.reply(w))
	}
	p.ok("pong", nil, nil)
}

// TestCancelRequest: a canceled execute with wait replies with the record and the captured
// output. Other waits end with -32800 without an effect on the session.
func TestCancelRequest(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := uuid.NewString()
	wait := p.request("execute", object{"command": "echo so far; exec sleep 1000", "wait": true, "session_id": id, "stream": true})
	p.next("output", func(m *message) bool { return m.Method == "process.output" })
	also := p.request("wait", object{"session_id": id})
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, also)
	p.bad(-32800, p.reply(also))
	p.ok("status", object{"session_id": id}, nil)
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"unknown"}}`)
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, wait)
	var r struct {
		Status, Reason, Stdout, Stderr string
		Signal                         *string
	}
	p.decode(p.good(p.reply(wait)).Result, &r)
	if r.Status != "canceled" || r.Reason != "canceled" || r.Stdout != "so far\n" || r.Stderr != "" || r.Signal == nil {
		t.Errorf("%+v", r)
	}
	// As a request it is answered itself.
	id = p.start(sleeper)
	wait = p.request("wait", object{"session_id": id})
	p.ok("$/cancelRequest", `{"id":`+wait+`}`, nil)
	p.bad(-32800, p.reply(wait))
	// A write that waits for room can be withdrawn.
	id = p.start(with(sleeper, "stdin", "pipe"))
	data := strings.Repeat("x", 800<<10)
	p.ok("write", object{"session_id": id, "data": data}, nil)
	var last string
	for range 2 {
		last = p.request("write", object{"session_id": id, "data": data})
	}
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, last)
	p.bad(-32800, p.reply(last))
}

// TestWait: a wait polls, times out, waits, and captures.
func TestWait(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.started(object{"command": "echo ready; read x; echo end; exit 4", "stdin": "pipe"})
	p.fails(-32004, "wait", object{"session_id": id, "timeout": 0})
	begin := time.Now()
	p.fails(-32004, "wait", object{"session_id": id, "timeout": 0.2})
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("timed out after %v", took)
	}
	wait := p.request("wait", object{"session_id": id, "timeout": nil})
	p.ok("write", object{"data": "\n"}, nil)
	if m := p.good(p.reply(wait)); !contains(string(m.Result), `"exit_code":4`) || contains(string(m.Result), `"stdout":`) {
		t.Errorf("%s", m.text)
	}
	var r struct {
		Stdout    string
		Truncated bool `json:"stdout_truncated"`
	}
	p.ok("wait", object{"session_id": id, "timeout": 0, "capture_bytes": 4}, &r)
	if r.Stdout != "end\n" || !r.Truncated {
		t.Errorf("%+v", r)
	}
	q := s.dial(t)
	r.Truncated = false
	q.ok("wait", object{"session_id": id, "capture_bytes": 1 << 20}, &r)
	if r.Stdout != "ready\nend\n" || r.Truncated {
		t.Errorf("%+v", r)
	}
	q.fails(-32602, "wait", object{"session_id": id, "capture_bytes": 1<<20 + 1})
}
