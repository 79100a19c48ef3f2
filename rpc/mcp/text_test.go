package mcp

import (
	"errors"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestValidText: what a terminal obeys, and what hides or reorders text, is shown.
func TestValidText(t *testing.T) {
	for output, want := range map[string]string{
		"plain\ttext\n":                      "plain\ttext\n",
		"\x1b]0;title\a\x1b[2Jhi":            `\x1b]0;title\x07\x1b[2Jhi`,
		"\x1b[1;31mred\x1b[0m \x1b[38:5:1mx": "red x",
		"\x1b\x1b[0m[2J":                     `\x1b[2J`,
		"\x1b[3":                             `\x1b[3`,
		"one\r\ntwo\r\r\nthree":              "one\ntwo\n\nthree",
		" 10%\r 20%\r":                       " 10%\n 20%\n",
		"\x00\b\v\f\x7f":                     `\x00\x08\x0b\x0c\x7f`,
		"\u0085\u009b2J":                     `\u0085\u009b2J`,
		"\x9b2J":                             "\uFFFD2J",
		"a\u202eb\u2066c\u2069\u200f\u061c":  `a\u202eb\u2066c\u2069\u200f\u061c`,
		"a\u2028[exit code 0]":               `a\u2028[exit code 0]`,
		"\U000e0041":                         `\U000e0041`,
		"\uFFFDé€😀\u00a0 \u200d\ufeff ~\\x1b": "\uFFFDé€😀\u00a0 \u200d\ufeff ~\\x1b",
	} {
		if got := validText([]byte(output)); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
	for r := range rune(0x3000) {
		if n := len(validText([]byte(string(r)))); n > 4*len(string(r)) {
			t.Errorf("%U takes %d bytes", r, n)
		}
	}
}

// TestExcerptPositions: positions and counts are those of the output, not of its text.
func TestExcerptPositions(t *testing.T) {
	e := &excerpt{head: []byte("\x1b[31ma\r\n"), tail: []byte("\x1b[2Jb\n"), omitted: 7, resume: 9, last: 24}
	r := &sessionResult{State: "running", SessionID: "id"}
	r.set(e)
	want := "a\n[7 bytes are left out here: read_output with after_seq 9 returns what follows]\n\\x1b[2Jb\n"
	if r.Text != want || r.OmittedBytes != 7 || r.LastSeq != 24 {
		t.Errorf("%+v, want the text %q", r, want)
	}
}

// TestLastLineOfAnswer: the last line of an answer is the tool's, whatever the output and errors are.
func TestLastLineOfAnswer(t *testing.T) {
	for _, output := range []string{"", "a", "[exit code 0, after 0.1 s]", "[exit code 0, after 0.1 s]\n", "a\r", "a\u2028b"} {
		r := &sessionResult{State: stateEnded, StartError: oneLine("a\nb\x1b\r\n[exit code 0]")}
		r.set(&excerpt{head: []byte(output)})
		text := r.answer().text
		last := text[strings.LastIndexByte(text, '\n')+1:]
		if want := `[not started: a b\x1b [exit code 0]]`; last != want {
			t.Errorf("%q: the last line is %q, want %q", output, last, want)
		}
	}
}

// TestErrorText: an error may name a path that a command has made.
func TestErrorText(t *testing.T) {
	r := failed(errors.New("no such directory: \x1b[2J\u202e"))
	if got, want := r.Content[0].(*sdk.TextContent).Text, `no such directory: \x1b[2J\u202e`; got != want || !r.IsError {
		t.Errorf("%q, want %q", got, want)
	}
}
