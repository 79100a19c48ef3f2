package tty

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuiet(t *testing.T) {
	for _, c := range []struct{ name, output, remains string }{
		{"text", "hello\r\n\tworld\b\a\v\f é 漢字 \U0001f600", "hello\r\n\tworld\b\a\v\f é 漢字 \U0001f600"},
		{"colors and cursor", "\x1b[1;38:5:7mred\x1b[m\x1b[2;3H\x1b[K\x1b[2J\x1b[3A", "\x1b[1;38:5:7mred\x1b[m\x1b[2;3H\x1b[K\x1b[2J\x1b[3A"},
		{"queries", "a\x1b[6n\x1b[?6n\x1b[c\x1b[>c\x1b[=c\x1b[0c\x1bZ\x05\x1b[18t\x1b[?1$p\x1b[x\x1b[?u\x1b[>qb", "ab"},
		{"queries in strings", "a\x1b]11;?\a\x1b]4;1;?\x1b\\\x1bP$qm\x1b\\\x1b_Gi=1,a=q;\x1b\\\x1bP+q544e\x1b\\b", "ab"},
		{"modes", "a\x1b[?1004h\x1b[?1049h\x1b[4h\x1b=\x1b(0\x0e\x1bcb", "ab"},
		{"other sequences with the same end", "a\x1b[>4;2m\x1b[?4m\x1b[?2J\x1b[1 A\x1b[1$Fb", "ab"},
		{"C1 controls", "a\u009b6n\u0090b\x9bc", "a6nb\ufffdc"},
		{"bytes that are not UTF-8", "a\xff\xc3b\xe6\xbc", "a\ufffd\ufffdb"},
		{"canceled", "a\x1b[6\x18n\x1b]11;?\x1ab", "anb"},
		{"restarted", "a\x1b[1\x1b[6nb\x1b]0;x\x1b[6nc", "abc"},
		{"controls in a sequence", "a\x1b[1\r\n;31mb", "a\x1b[1;31mb"},
		{"a long sequence", "a\x1b[" + strings.Repeat("1;", maxSequence) + "mb", "ab"},
		{"unfinished", "a\x1b[6", "a"},
	} {
		for size := 1; size < 5; size++ { // bytes of a call
			if got := quietly(c.output, size); got != c.remains {
				t.Errorf("%s, in pieces of %d: %q, want %q", c.name, size, got, c.remains)
			}
		}
	}
	var q Quiet
	for _, c := range []struct {
		output  string
		pending bool
	}{{"a", false}, {"\x1b", true}, {"[", true}, {"6n", false}, {"\xc3", true}, {"\xa9", false}, {"\x1b]0", true}, {"\a", false}} {
		if q.Filter([]byte(c.output)); q.Pending() != c.pending {
			t.Errorf("after %q, pending is %t", c.output, !c.pending)
		}
	}
}

// quietly returns what remains of output that is filtered in pieces.
func quietly(output string, size int) string {
	var q Quiet
	var got strings.Builder
	for output != "" {
		n := min(size, len(output))
		got.Write(q.Filter([]byte(output[:n])))
		output = output[n:]
	}
	return got.String()
}

// FuzzQuiet: only text and the sequences that are meant remain, whatever the pieces are, and they remain when
// they are filtered again.
func FuzzQuiet(f *testing.F) {
	f.Add("a\x1b[6n\x1b]11;?\a\u009b6n\xff\x1b[31m", 2)
	f.Add("\x1b[1\x1bP$q\x1b\\\x18\x05é", 3)
	allowed := regexp.MustCompile("\x1b\\[[0-9;:]*[" + quietFinals + "]")
	f.Fuzz(func(t *testing.T, output string, size int) {
		got := quietly(output, max(1, len(output)))
		if size > 0 {
			if pieces := quietly(output, size); pieces != got {
				t.Errorf("in pieces %q, else %q", pieces, got)
			}
		}
		for _, r := range allowed.ReplaceAllString(got, "") {
			if r < ' ' && (r < '\a' || r > '\r') || r >= 0x7f && r < 0xa0 {
				t.Errorf("%q has %q", got, r)
			}
		}
		if again := quietly(got, max(1, len(got))); again != got || !utf8.ValidString(got) {
			t.Errorf("%q, again %q", got, again)
		}
	})
}
