//go:build linux

package server_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
)

// layout is a log as a client gets it, with a byte for each position: the output, and which
// stream it is of, or '*' for an event.
type layout struct {
	begin, seq     int64
	data, kinds    []byte
	text, replaced string // as received, with '?' for each U+FFFD that is counted
	received       []string
	over           bool
}

func newLayout(after int64) *layout { return &layout{begin: after, seq: after} }

func (l *layout) take(p *peer, m *message) {
	p.t.Helper()
	var o rpc.Output
	p.decode(m.Params, &o)
	size := o.Seq - l.seq
	l.seq, l.received = o.Seq, append(l.received, m.Method)
	switch m.Method {
	case "process.output":
		data := []byte(o.Data)
		if o.Encoding == "base64" {
			data = must(base64.StdEncoding.DecodeString(o.Data))
		}
		l.data = append(l.data, data...)
		l.kinds = append(l.kinds, strings.Repeat(o.Type[3:4], int(size))...)
		l.text += o.Data
		l.replaced += strings.Repeat("?", o.Replaced)
		if o.Encoding == "base64" && int64(len(data)) != size {
			p.t.Fatalf("%d bytes on %d places: %s", len(data), size, m.text)
		}
	default:
		l.data, l.kinds, l.text = append(l.data, '*'), append(l.kinds, '*'), l.text+"*"
		if size != 1 {
			p.t.Fatalf("%s takes %d places", m.Method, size)
		}
		l.over = m.Method == "process.completed"
	}
}

// attached returns the log after a position, by attach.
func (p *peer) attached(id string, after int64) *layout {
	p.t.Helper()
	l := newLayout(after)
	p.ok("attach", object{"session_id": id, "after_seq": after}, nil)
	for !l.over {
		l.take(p, p.next("events", func(m *message) bool { return m.session == id }))
	}
	return l
}

// readAll returns the log after a position, by reads of at most n bytes.
func (p *peer) readAll(id string, after, n int64) *layout {
	p.t.Helper()
	l := newLayout(after)
	for !l.over {
		var r rpc.ReadResult
		before, events := l.seq, strings.Count(string(l.kinds), "*")
		p.ok("read", object{"session_id": id, "after_seq": l.seq, "max_bytes": n}, &r)
		for _, e := range r.Events {
			l.take(p, &message{Method: e.Method, Params: e.Params})
		}
		events -= strings.Count(string(l.kinds), "*")
		if got := l.seq - before + int64(events); got > n+utf8.UTFMax-1 || len(r.Events) == 0 || r.LastSeq != l.seq || r.Done != l.over {
			p.t.Fatalf("after %d at most %d: %d bytes to %d, %v", l.begin, n, got, r.LastSeq, r.Done)
		}
	}
	return l
}

// mixture runs a session with all kinds of output, whose log is always the same.
func (p *peer) mixture(encoding string) (id string) {
	p.t.Helper()
	steps := []string{`printf 'aé\n€b\n'`, `printf '😀x' >&2`, `printf 'é\nlast' >&2`, `printf '😀'`, `printf '€\n'`}
	id = p.start(object{"command": strings.Join(steps, "; read x; "), "stdin": "pipe", "encoding": encoding, "on_disconnect": "keep"})
	for end, at := range mixed {
		if at != '*' || end == 0 || mixed[end+1:] == "" || mixed[end-1] == '*' {
			continue
		}
		p.next("the end of a step", func(m *message) bool { return m.session == id && contains(m.text, fmt.Sprintf(`"seq":%d,`, end)) })
		p.ok("control", object{"session_id": id, "type": "PAUSE"}, nil)
		p.ok("control", object{"session_id": id, "type": "RESUME"}, nil)
		p.ok("write", object{"session_id": id, "data": "\n"}, nil)
	}
	p.completed(id)
	p.pending = nil
	return id
}

// mixed is its log, and mixedKinds of which stream each byte is. Between two steps it was paused.
const (
	mixed      = "*aé\n€b\n**😀x**é\nlast**😀**€\n*"
	mixedKinds = "*ooooooooo**eeeee**eeeeeee**oooo**oooo*"
)

// TestAfterAnyPosition: attach and read after any position of a log return exactly the rest.
func TestAfterAnyPosition(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := p.mixture("base64")
	for after := range int64(len(mixed)) {
		check := func(how string, l *layout) {
			t.Helper()
			if got, want := string(l.data), mixed[after:]; got != want {
				t.Errorf("%s after %d: %q, want %q", how, after, got, want)
			}
			if got, want := string(l.kinds), mixedKinds[after:]; got != want {
				t.Errorf("%s after %d: streams %s, want %s", how, after, got, want)
			}
		}
		check("attach", p.attached(id, after))
		for _, n := range []int64{1, 3, 7, 1 << 20} {
			check(fmt.Sprint("read of ", n), q.readAll(id, after, n))
		}
	}
	for _, after := range []int64{int64(len(mixed)), int64(len(mixed)) + 5} { // nothing follows
		p.ok("attach", object{"session_id": id, "after_seq": after}, nil)
		p.ok("pong", nil, nil)
		var r rpc.ReadResult
		q.ok("read", object{"session_id": id, "after_seq": after}, &r)
		if len(p.pending) > 0 || len(r.Events) > 0 || !r.Done || r.LastSeq != int64(len(mixed)) {
			t.Errorf("after %d: %+v, %d notifications", after, r, len(p.pending))
		}
	}
}

// TestAfterAnyPositionAsText: each byte of a character that the position cuts is replaced by
// U+FFFD and counted.
func TestAfterAnyPositionAsText(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := p.mixture("utf8")
	for after := range int64(len(mixed)) {
		var want, replaced string
		for rest := mixed[after:]; rest != ""; {
			r, n := utf8.DecodeRuneInString(rest)
			if r == utf8.RuneError {
				replaced += "?"
			}
			want, rest = want+string(r), rest[n:]
		}
		for how, l := range map[string]*layout{
			"attach": p.attached(id, after), "read": q.readAll(id, after, 1<<20), "read of 1": q.readAll(id, after, 1),
		} {
			if l.text != want || l.replaced != replaced || l.begin+int64(len(mixed[after:])) != l.seq {
				t.Errorf("%s after %d: %q, %s to %d; want %q, %s", how, after, l.text, l.replaced, l.seq, want, replaced)
			}
		}
	}
}
