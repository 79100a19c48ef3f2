package mcp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestCuts: output is cut at the end of a line if one is near, and never within a character.
func TestCuts(t *testing.T) {
	long := strings.Repeat("x", lineWithin)
	for name, c := range map[string]struct {
		text       string
		head, tail string // what is kept
	}{
		"lines":                {"one\ntwo\nthr", "one\ntwo\n", "two\nthr"},
		"a whole line":         {"one\n", "one\n", ""},
		"no line":              {"abc", "abc", "abc"},
		"a line that is far":   {"one\n" + long + long, "one\n" + long + long, long + long},
		"a character in parts": {"\x82\xac" + long + "\xe2\x82", "\x82\xac" + long, long + "\xe2\x82"},
		"whole characters":     {"€" + long + "€", "€" + long + "€", "€" + long + "€"},
		"not UTF-8":            {"\x80\x80\x80\x80" + long, "\x80\x80\x80\x80" + long, "\x80" + long},
		"nothing":              {"", "", ""},
	} {
		b := []byte(c.text)
		if got := string(b[:cutHead(b)]); got != c.head {
			t.Errorf("%s: the head is %.20q…, want %.20q…", name, got, c.head)
		}
		if got := string(b[cutTail(b):]); got != c.tail {
			t.Errorf("%s: the tail is %.20q…, want %.20q…", name, got, c.tail)
		}
	}
}

// TestPagePositions: at each index of a page, its position is known, also beside events and gaps.
func TestPagePositions(t *testing.T) {
	p := &page{last: 1000}
	for _, e := range []struct {
		method string
		params any
	}{
		{rpc.NotifyStarted, rpc.StateEvent{Seq: 1}},
		{rpc.NotifyOutput, rpc.Output{Seq: 4, Data: "abc"}},
		{rpc.NotifyPaused, rpc.StateEvent{Seq: 5}},
		{rpc.NotifyOutput, rpc.Output{Seq: 7, Data: "/4A=", Encoding: rpc.EncodingBase64}},
		{rpc.NotifyGap, rpc.Gap{FromSeq: 7, Seq: 107, LostBytes: 100}},
		{rpc.NotifyOutput, rpc.Output{Seq: 109, Data: "yz"}},
	} {
		raw, err := json.Marshal(e.params)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.add(rpc.Event{Method: e.method, Params: raw}); err != nil {
			t.Fatal(err)
		}
	}
	note := len("\n[100 bytes of output are not kept any more]\n")
	if want := "abc\xff\x80\n[100 bytes of output are not kept any more]\nyz"; string(p.data) != want || p.lost != 100 {
		t.Errorf("%q, %d lost, want %q", p.data, p.lost, want)
	}
	for index, want := range map[int]int64{0: 1, 2: 3, 3: 4, 4: 6, 5: 7, 5 + note: 107, 6 + note: 108, 7 + note: 109, 8 + note: 1000} {
		if got := p.at(index); got != want {
			t.Errorf("index %d is at %d, want %d", index, got, want)
		}
	}
}

// TestLastLine: the newest line that has something is what a user sees.
func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{
		"one\ntwo\n": "two", "one\n\n  \n": "one", " 10%\r 20%": "20%", "": "", "\xffx": "\uFFFDx",
		strings.Repeat("é", maxLineRunes+1): strings.Repeat("é", maxLineRunes-1) + "…",
	} {
		if got := lastLine([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
