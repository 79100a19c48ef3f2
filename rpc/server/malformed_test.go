//go:build linux

package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// known are the error codes that a reply may have.
var known = map[int]bool{-32700: true, -32600: true, -32601: true, -32602: true, -32001: true, -32002: true, -32003: true, -32004: true, -32005: true,
	-32006: true, -32007: true, -32008: true, -32009: true, -32010: true, -32800: true}

// TestMalformedInput: ten thousand messages, most of them meaningless, are each answered with a
// result or a known error. Memory does not grow, nothing panics, and the server still works.
func TestMalformedInput(t *testing.T) {
	const seed1, seed2 = 20261123, 4
	r := rand.New(rand.NewPCG(seed1, seed2))
	s := serve(t, func(set *settings) {
		set.Session.MaxRetained = 10
		set.Session.MaxSessions = 20
		set.Server.Defaults.Timeout = 100 * 1e6
		set.Server.Defaults.Grace = 0
	})
	p := s.dial(t)
	seeds := []string{
		`{"jsonrpc":"2.0","id":1,"method":"execute","params":{"command":"true","timeout":0.1,"env":{"A":null},"labels":{"a":"b"}}}`,
		`{"jsonrpc":"2.0","id":"x","method":"execute","params":[{"command":["true","x"],"wait":true,"capture_bytes":10}]}`,
		`{"jsonrpc":"2.0","id":-1.5e3,"method":"control","params":{"type":"PAUSE","session_id":"` + uuid.NewString() + `"}}`,
		`{"jsonrpc":"2.0","id":null,"method":"list","params":{"labels":{"a":"\u00e9\ud83d\ude00"}}}`,
		`[{"jsonrpc":"2.0","id":2,"method":"pong"},{"jsonrpc":"2.0","method":"cancel"},{"jsonrpc":"2.0","id":3,"method":"write","params":{"data":"x"}}]`,
		`{"jsonrpc":"2.0","id":4,"method":"wait","params":{"session_id":"` + uuid.NewString() + `","timeout":0}}`,
	}
	frames := 10000
	if raceEnabled {
		frames = 2000
	}
	flat(t, 8<<20, func() {
		for i := range frames {
			message := garbage(r, seeds)
			p.send("%s", message)
			// The reply, if there is one, is ahead of the reply to a request that always has one.
			end := fmt.Sprintf(`"end %d"`, i)
			p.send(`{"jsonrpc":"2.0","id":%s,"method":"pong"}`, end)
			p.good(p.reply(end))
			for _, m := range p.pending {
				for _, a := range append(m.batch, m) {
					if a.Error != nil && !known[a.Error.Code] {
						t.Fatalf("%.500s\nanswered: %.500s", message, a.text)
					}
				}
			}
			if !mayBeSilent(message) && len(p.pending) == 0 {
				t.Fatalf("not answered: %q", message)
			}
			p.pending = nil
		}
	})
	p.reset()
	s.idle()
	p = s.dial(t)
	if x := p.run(object{"command": "echo well"}); x.stdout() != "well\n" {
		t.Errorf("%q", x.stdout())
	}
}

// mayBeSilent reports whether a message may have no reply, or a later one: a notification, or a
// batch that waits.
func mayBeSilent(message string) bool {
	var v any
	if json.Unmarshal([]byte(message), &v) != nil {
		return false
	}
	_, isObject := v.(map[string]any)
	_, isBatch := v.([]any)
	return isObject || isBatch
}

// garbage returns a random text message.
func garbage(r *rand.Rand, seeds []string) string {
	switch r.IntN(6) {
	case 0: // any characters
		var b strings.Builder
		for range r.IntN(200) {
			b.WriteRune(rune(r.IntN(0x10ffff)))
		}
		return strings.ToValidUTF8(b.String(), "?")
	case 1: // characters of JSON
		const some = `{}[]",:\u0123456789eE+-.truefalsn ` + "\n\t\x00"
		var b strings.Builder
		for range r.IntN(300) {
			b.WriteByte(some[r.IntN(len(some))])
		}
		return b.String()
	case 2: // cut short
		s := seeds[r.IntN(len(seeds))]
		return strings.ToValidUTF8(s[:r.IntN(len(s))], "")
	default: // changed a little
		b := []byte(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(4) {
			i := r.IntN(len(b))
			switch r.IntN(4) {
			case 0:
				b[i] = byte(r.IntN(128))
			case 1:
				b = append(b[:i], b[min(i+1+r.IntN(5), len(b)):]...)
			case 2:
				j := r.IntN(len(b))
				b = append(b[:i:i], append([]byte(string(b[min(i, j):max(i, j)])), b[i:]...)...)
			case 3:
				const some = `{}[]",:0-1e9`
				b = append(b[:i:i], append([]byte{some[r.IntN(len(some))]}, b[i:]...)...)
			}
			if len(b) == 0 {
				return ""
			}
		}
		return strings.ToValidUTF8(string(b), "")
	}
}

// TestDeeplyNestedAndLargeMessages: messages that are expensive to parse are refused cheaply.
func TestDeeplyNestedAndLargeMessages(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	deep := func(n int, open, close string) string {
		return strings.Repeat(open, n) + strings.Repeat(close, n)
	}
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"list","params":` + params + `}`
	}
	digits := strings.Repeat("9", 500000)
	messages := map[string]string{
		"arrays":             deep(100000, "[", "]"),
		"arrays, not closed": strings.Repeat("[", 300000),
		"objects":            strings.Repeat(`{"a":`, 200000),
		"deep params":        call(deep(100000, "[", "]")),
		"deep labels":        call(`{"labels":` + strings.Repeat(`{"a":`, 100000) + `1` + strings.Repeat("}", 100000) + `}`),
		"many zeros":         call(`[` + strings.Repeat("0,", 200000) + `0]`),
		"many members":       call(`{` + strings.Repeat(`"a":0,`, 50000) + `"a":0}`),
		"many unknown":       call(`{"labels":{` + strings.Repeat(`"a":"",`, 30000) + `"a":0}}`),
		"huge number":        `{"jsonrpc":"2.0","id":1,"method":"wait","params":{"session_id":"x","timeout":` + digits + `}}`,
		"huge exponent":      `{"jsonrpc":"2.0","id":1,"method":"wait","params":{"session_id":"x","timeout":1e` + digits + `}}`,
		"huge id":            `{"jsonrpc":"2.0","id":` + digits + `,"method":"pong"}`,
		"huge method":        `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("m", 1000000) + `"}`,
		"huge control type":  `{"jsonrpc":"2.0","id":1,"method":"control","params":{"type":"` + strings.Repeat("m", 1000000) + `"}}`,
		"huge field name":    call(`{"` + strings.Repeat("f", 1000000) + `":1}`),
		"huge session_id":    `{"jsonrpc":"2.0","id":1,"method":"status","params":{"session_id":"` + strings.Repeat("s", 1000000) + `"}}`,
		"escapes":            `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat(`\u0000`, 60000) + `"}`,
		"broken escapes":     call(`{"labels":{"` + strings.Repeat(`\ud800`, 60000) + `":1}}`),
		"a large batch":      `[` + strings.Repeat("1,", 200000) + `1]`,
	}
	flat(t, 16<<20, func() {
		for name, message := range messages {
			if !utf8.ValidString(message) || len(message) > 1<<20 {
				t.Fatalf("%s: %d bytes", name, len(message))
			}
			p.send("%s", message)
			m := p.any()
			if m.Error == nil || !known[m.Error.Code] || len(m.text) > 64<<10 {
				t.Errorf("%s: %.300s", name, m.text)
			}
		}
	})
	p.ok("pong", nil, nil)
}

// TestBatchOfLargestErrors checks that a batch of the largest ids and errors fits into a message.
func TestBatchOfLargestErrors(t *testing.T) {
	p := serve(t).dial(t)
	item := fmt.Sprintf(`{"jsonrpc":"2.0","id":"%s","method":"%s"}`, strings.Repeat("<", 1022), strings.Repeat("<", 500))
	p.send("[%s]", strings.Repeat(item+",", 63)+item)
	if m := p.any(); len(m.batch) != 64 || len(m.text) > rpc.MaxFrameBytes {
		t.Errorf("%d answers in %d bytes", len(m.batch), len(m.text))
	}
	p.ok("pong", nil, nil)
}

// TestBatchOfLargeReplies checks that replies of a batch that are too large for a message are
// errors, each under its own id.
func TestBatchOfLargeReplies(t *testing.T) {
	p := serve(t).dial(t)
	const id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	p.ok("execute", object{"command": `yes '"' | head -c 1000000`, "wait": true, "session_id": id}, nil)
	var items []string
	for i := range 20 {
		items = append(items, fmt.Sprintf(
			`{"jsonrpc":"2.0","id":%d,"method":"wait","params":{"session_id":%q,"capture_bytes":200000}}`, i, id))
	}
	p.send("[%s]", strings.Join(items, ","))
	m := p.next("the answers", func(m *message) bool { return m.batch != nil })
	large := 0
	for _, a := range m.batch {
		if a.Error != nil && a.Error.Data["kind"] == "reply_too_large" {
			large++
		}
	}
	if len(m.batch) != 20 || large == 0 || large == 20 || len(m.text) > rpc.MaxFrameBytes {
		t.Errorf("%d answers, %d of them errors, in %d bytes", len(m.batch), large, len(m.text))
	}
	p.ok("pong", nil, nil)
}
