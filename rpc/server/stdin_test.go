//go:build linux

package server_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestWrite: input arrives in order and complete, in each encoding, and eof ends it.
func TestWrite(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	var want strings.Builder
	id := p.start(object{"command": "cat", "stdin": "pipe", "mode": "raw", "encoding": "base64"})
	x := &transcript{id: id}
	var r struct {
		N int64 `json:"stdin_bytes"`
	}
	p.ok("write", object{"data": ""}, &r)
	if r.N != 0 {
		t.Errorf("%+v", r)
	}
	var asked []string
	for i := range 200 { // none waits for the one before it
		data := fmt.Sprintf("%d é\x00%s\n", i, strings.Repeat("x", i*20))
		want.WriteString(data)
		if i%2 == 0 {
			asked = append(asked, p.request("write", object{"data": data, "session_id": id}))
		} else {
			asked = append(asked, p.request("write", object{"data": base64.StdEncoding.EncodeToString([]byte(data)), "encoding": "base64"}))
		}
	}
	binary := "\xff\xfe\x00\x80"
	want.WriteString(binary)
	asked = append(asked, p.request("write", object{"data": base64.StdEncoding.EncodeToString([]byte(binary)), "encoding": "base64", "eof": true}))
	before := int64(0)
	for _, id := range asked {
		p.decode(p.good(p.reply(id)).Result, &r)
		if r.N <= before {
			t.Errorf("stdin_bytes %d after %d", r.N, before)
		}
		before = r.N
	}
	if r.N != int64(want.Len()) {
		t.Errorf("%d bytes accepted of %d", r.N, want.Len())
	}
	p.follow(x)
	if x.stdout() != want.String() || x.record.Status != "completed" {
		t.Errorf("received %d bytes of %d", len(x.stdout()), want.Len())
	}
	p.fails(-32006, "write", object{"session_id": id, "data": "x"})
}

// TestWriteErrors: refused writes have no effect.
func TestWriteErrors(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	p.fails(-32006, "write", object{"data": "x", "session_id": p.start(sleeper)})
	p.ok("cancel", nil, nil)
	id := p.start(object{"command": "cat; sleep 1000", "stdin": "pipe"})
	p.fails(-32602, "write", object{"data": "$$$", "encoding": "base64"})
	p.fails(-32602, "write", object{"data": "x", "encoding": "latin1"})
	p.fails(-32602, "write", object{"data": 1})
	p.fails(-32602, "write", object{"data": "x", "offset": -1})
	var r struct {
		N int64 `json:"stdin_bytes"`
	}
	write := func(want int64, params object) {
		t.Helper()
		p.ok("write", with(params, "session_id", id), &r)
		if r.N != want {
			t.Errorf("%v: %d", params, r.N)
		}
	}
	write(5, object{"data": "hello", "offset": 0})
	write(5, object{"data": "hello", "offset": 0})   // a retry
	write(7, object{"data": "hello, ", "offset": 0}) // overlaps
	write(7, object{"data": "llo", "offset": 2})     // all of it is there
	write(12, object{"data": "world", "offset": 7})  // exactly at the end
	write(13, object{"data": "d\n", "offset": 11})   // overlaps by one
	e := p.fails(-32602, "write", object{"data": "x", "offset": 14})
	if e.Data["field"] != "offset" {
		t.Errorf("%+v", e)
	}
	write(13, object{"data": "", "offset": 13, "eof": true})
	write(13, object{"data": "", "offset": 13, "eof": true}) // a retry
	p.fails(-32006, "write", object{"data": "x"})
	p.fails(-32006, "write", object{"data": "", "eof": true})
	p.next("all of it", func(m *message) bool { return contains(m.text, `hello, world\n`) })
	p.ok("cancel", nil, nil)
	p.fails(-32006, "write", object{"data": "x", "session_id": id})
	p.fails(-32002, "write", object{"data": "x"})
}

// TestWriteToCommandThatDoesNotRead: writes wait in order, and delay no other request of the
// connection.
func TestWriteToCommandThatDoesNotRead(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.start(with(sleeper, "stdin", "pipe"))
	data := strings.Repeat("x", 700<<10)
	var asked []string
	for range 5 {
		asked = append(asked, p.request("write", object{"session_id": id, "data": data}))
	}
	p.good(p.reply(asked[0]))
	for range 5 {
		p.ok("control", object{"type": "PAUSE"}, nil)
		p.ok("control", object{"type": "RESUME"}, nil)
		var st struct {
			N int64 `json:"stdin_bytes"`
		}
		p.ok("status", object{"session_id": id}, &st)
		if st.N > 2*700<<10 {
			t.Errorf("%d bytes were accepted without a reader", st.N)
		}
	}
	x := p.run(object{"command": "echo other"})
	if x.stdout() != "other\n" {
		t.Errorf("%q", x.stdout())
	}
	p.ok("cancel", object{"session_id": id}, nil)
	for _, id := range asked[2:] {
		p.bad(-32006, p.reply(id))
	}
	// A command that closes its stdin.
	id = p.started(object{"command": "exec <&-; echo ready; sleep 1000", "stdin": "pipe"})
	eventually(t, "writes are refused", func() bool {
		m := p.call("write", object{"session_id": id, "data": "x"})
		return m.Error != nil && m.Error.Code == -32006
	})
}

// TestWrittenStdinRestartsTheStreamDeadline: input counts as activity.
func TestWrittenStdinRestartsTheStreamDeadline(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	id := p.start(object{"command": "cat >/dev/null", "stdin": "pipe", "stream_timeout": 1})
	for range 15 { // longer than the deadline in all
		p.ok("write", object{"data": "x"}, nil)
		if !pollFor(100*1e6, func() bool { return s.registry.Running() == 0 }) {
			continue
		}
		break
	}
	p.ok("write", object{"data": "", "eof": true}, nil)
	if rec := p.completed(id); rec.Reason != "exited" || rec.Status != "completed" {
		t.Errorf("%+v", rec)
	}
}
