//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	emulator "github.com/runnel-rpc/runnel/session/screen"
)

// painted attaches with a screen and returns it. No other event of the session may precede it.
func (p *peer) painted(id string, params ...any) *rpc.Screen {
	p.t.Helper()
	p.ok("attach", with(object{"session_id": id, "screen": true}, params...), nil)
	return p.nextScreen(id)
}

func (p *peer) nextScreen(id string) *rpc.Screen {
	p.t.Helper()
	m := p.next("an event", func(m *message) bool { return m.session == id && m.Method != "" })
	if m.Method != "process.screen" {
		p.t.Fatalf("the first event is %.300s", m.text)
	}
	var x rpc.Screen
	p.decode(m.Params, &x)
	return &x
}

// terminalOf returns a terminal after some output.
func terminalOf(t *testing.T, rows, cols int, output string) *emulator.Screen {
	t.Helper()
	s, err := emulator.New(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte(output)); err != nil {
		t.Fatal(err)
	}
	return s
}

func shows(t *testing.T, x *rpc.Screen, rows, cols int, output string) {
	t.Helper()
	want := terminalOf(t, rows, cols, output).Paint(emulator.Full)
	if x.Data != want || x.Rows != rows || x.Cols != cols {
		t.Errorf("%d rows, %d columns, %q, not %d, %d, %q", x.Rows, x.Cols, x.Data, rows, cols, want)
	}
}

// TestScreenThenOutput: whenever a client attaches, the screen and the output after it have the same result as
// the whole output.
func TestScreenThenOutput(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	c := p.terminal(object{"command": `i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf '\033[3%dm%d \033[%d;%dH日é' $((i%8)) $i $((i%24)) $((i%77)); done; read x; printf end`})
	others := make([]*screen, 10)
	screens := make([]string, len(others))
	for i := range others {
		q := s.dial(t)
		x := q.painted(c.id)
		shows(t, x, 24, 80, c.outputTo(x.Seq))
		screens[i] = x.Data
		others[i] = &screen{p: q, id: c.id, x: transcript{id: c.id}}
	}
	p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	p.follow(&c.x)
	want := terminalOf(t, 24, 80, c.shown()).Paint(emulator.Full)
	for i, o := range others {
		var b strings.Builder
		b.WriteString(screens[i])
		for {
			m := o.p.next("events", func(m *message) bool { return m.session == c.id && m.Method != "" })
			if m.Method == "process.completed" {
				break
			}
			var out rpc.Output
			o.p.decode(m.Params, &out)
			b.WriteString(out.Data)
		}
		if got := terminalOf(t, 24, 80, b.String()).Paint(emulator.Full); got != want {
			t.Errorf("client %d:\n%q, not\n%q", i, got, want)
		}
	}
}

// outputTo reads until a position of the log, and returns the output up to there. process.started is 1.
func (s *screen) outputTo(seq int64) string {
	s.p.t.Helper()
	for int64(len(s.shown())) < seq-1 {
		m := s.p.next("output", func(m *message) bool { return m.session == s.id && m.Method != "" })
		if err := s.x.take(m); err != nil {
			s.p.t.Fatal(err)
		}
	}
	return s.shown()[:seq-1]
}

// TestScreenOfARestoredSession: the spool has the sizes too, and output that memory has not any more.
func TestScreenOfARestoredSession(t *testing.T) {
	dir := t.TempDir()
	small := func(set *settings) { inSpool(dir)(set); set.Session.ReplayBytes = 64 << 10 }
	s := serve(t, small)
	p := s.dial(t)
	id := uuid.NewString()
	c := p.terminal(object{"session_id": id, "on_disconnect": "keep",
		"command": `stty -echo; printf 'first\033[31m'; read x; seq 20000; printf '\033[?1049h\033[2;2Hfull'; read x; printf last`})
	c.wants("first")
	p.ok("control", object{"session_id": id, "type": "RESIZE", "rows": 10, "cols": 30}, nil)
	p.ok("write", object{"session_id": id, "data": "\n"}, nil)
	c.wants("full")
	first := s.dial(t).painted(id, "rows", 5, "cols", 20)
	if first.Rows != 5 || first.Cols != 20 {
		t.Errorf("%+v", first)
	}
	p.ok("write", object{"session_id": id, "data": "\n"}, nil)
	p.follow(&c.x)
	ended := s.dial(t).painted(id)
	if ended.Seq != c.x.record.Seq-1 || ended.Rows != 5 || !strings.Contains(ended.Data, "last") || !strings.Contains(ended.Data, "20000") {
		t.Errorf("%+v, record %d", ended, c.x.record.Seq)
	}
	s.idle()
	s.shutdown(0)

	q := serve(t, small).dial(t)
	restored := q.painted(id, "rows", 7, "cols", 7) // it is not resized any more
	if text(restored) != text(ended) {
		t.Errorf("%s\nnot %s", text(restored), text(ended))
	}
	if rec := q.completed(id); rec.Seq != ended.Seq+1 {
		t.Errorf("%+v", rec)
	}
}

// TestScreenOfAWatcher: who only watches gets the screen, and neither resizes nor takes.
func TestScreenOfAWatcher(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Auth, set.Server.SameGroup = &callers{}, sameTeam })
	owner, admin := s.as(t, "alice"), s.as(t, "root,admin")
	c := owner.terminal(object{"command": "printf ready; read x; stty size; read x"})
	c.wants("ready")
	name := "alice/" + c.id
	for _, more := range [][]any{{"rows", 5, "cols", 5}, {"take", true}, {"slow_client", "block"}} {
		e := admin.fails(rpc.CodeForbidden, "attach", with(object{"session_id": name, "screen": true}, more...))
		if e.Data["rule"] != "role.watch" {
			t.Errorf("%v: %+v", more, e)
		}
	}
	shows(t, admin.painted(name), 24, 80, "ready")
	owner.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	c.wants("24 80")
	admin.next("the size", func(m *message) bool { return m.Method == "process.output" && strings.Contains(m.text, "24 80") })

	taker := s.as(t, "alice")
	shown := taker.painted(c.id, "take", true, "rows", 10, "cols", 40)
	if shown.Rows != 10 || shown.Cols != 40 {
		t.Errorf("%+v", shown)
	}
	owner.reset() // not attached any more: the session continues
	taker.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	taker.completed(c.id)
}

func TestScreenThatIsTooLarge(t *testing.T) {
	p := serve(t).dial(t)
	c := p.terminal(object{"command": "printf ready; read x"})
	c.wants("ready")
	p.ok("control", object{"session_id": c.id, "type": "RESIZE", "rows": 1000, "cols": 101}, nil)
	e := p.fails(rpc.CodeInvalidParams, "attach", object{"session_id": c.id, "screen": true})
	if e.Data["field"] != "screen" || !strings.Contains(e.Message, "100000") {
		t.Errorf("%+v", e)
	}
	if x := p.painted(c.id, "rows", 1000, "cols", 100); x.Rows != 1000 || x.Cols != 100 {
		t.Errorf("%d rows, %d columns", x.Rows, x.Cols)
	}
}

// TestScreenAfterAGap: what the log has not any more has no effect.
func TestScreenAfterAGap(t *testing.T) {
	p := serve(t, func(set *settings) { set.Session.ReplayBytes, set.NoSpool = 16<<10, true }).dial(t)
	c := p.terminal(object{"command": `printf '\033[?1049h\033[44mlost\r\n'; seq 20000; printf '\033[Hend'; read x`, "slow_client": "drop"})
	c.wants("end")
	x := p.painted(c.id)
	if !strings.Contains(x.Data, "20000") || strings.Contains(x.Data, "1049h") || strings.Contains(x.Data, "44m") {
		t.Errorf("%q", x.Data)
	}
}

// TestScreenFitsIntoAMessage: with less detail if it has to. What needs too much work is an empty screen.
func TestScreenFitsIntoAMessage(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.ReplayBytes = 4 << 20 })
	p := s.dial(t)
	c := p.terminal(object{"pty": object{"rows": 1000, "cols": 100}, "slow_client": "drop",
		"command": `awk 'BEGIN { for (i = 0; i < 99999; i++) printf "\033[38;2;%d;%d;%dmx", i % 256, i / 256 % 256, i / 65536 }'; read x`})
	c.wants("38;2;158;134;1mx")
	x := s.dial(t).painted(c.id)
	if n := strings.Count(x.Data, "x"); n < 90_000 || strings.Count(x.Data, "38;2") > 2 { // of the last cell, and of the pen
		t.Errorf("%d cells, %.500q", n, x.Data)
	}
	excessive := p.terminal(object{"pty": object{"rows": 1000, "cols": 100}, "slow_client": "drop",
		"command": `awk 'BEGIN { for (i = 0; i < 30000; i++) printf "a\033[99999b" }'; printf '\033[Hend'; read x`})
	excessive.wants("end")
	shows(t, s.dial(t).painted(excessive.id), 1000, 100, "")
}

// TestPanicOfAScreen: if a screen cannot be computed because of a bug, it is empty, and the connection and the
// session continue.
func TestPanicOfAScreen(t *testing.T) {
	var panics panicking
	s := servePanicking(t, &panics)
	p := s.dial(t)
	c := p.terminal(object{"command": "printf ready; read x; printf end"})
	c.wants("ready")
	panics.in.Store("paint")
	shows(t, p.painted(c.id), 24, 80, "")
	if text := s.log.take(); strings.Count(text, "screen panicked") != 1 || !strings.Contains(text, "as asked") {
		t.Errorf("logged: %s", text)
	}
	panics.in.Store("")
	shows(t, p.painted(c.id), 24, 80, "ready") // the turn and a unit of the budget are free again
	p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	p.completed(c.id)
}

// TestScreenInABatch: each attach has its screen, and the replies have the order of the requests.
func TestScreenInABatch(t *testing.T) {
	p := serve(t).dial(t)
	c := p.terminal(object{"command": "printf ready; read x"})
	c.wants("ready")
	const n = 8
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"attach","params":{"session_id":%q,"screen":true}}`, i+1, c.id))
	}
	p.send("[%s]", strings.Join(items, ","))
	shows(t, p.nextScreen(c.id), 24, 80, "ready") // at least the one of the last attach
	p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	p.completed(c.id)
}

// TestScreenOfADetachedConnection: a detach, or another attach, before the screen is painted is respected.
func TestScreenOfADetachedConnection(t *testing.T) {
	p := serve(t).dial(t)
	c := p.terminal(object{"on_disconnect": "keep", "command": "stty -echo; printf ready; read x; seq 50000; printf end; read x"})
	c.wants("ready")
	p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	c.wants("end")
	for range 20 {
		attach := p.request("attach", object{"session_id": c.id, "screen": true})
		detach := p.request("detach", object{"session_id": c.id})
		p.good(p.reply(detach))
		p.good(p.reply(attach))
	}
	p.pending = nil
	p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
	p.ok("wait", object{"session_id": c.id}, nil)
	for _, m := range p.pending {
		if m.session == c.id && m.Method != "" {
			t.Errorf("after the detach: %.300s", m.text)
		}
	}
}
