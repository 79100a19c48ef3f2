package mcp

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// lineWithin is how far a cut is moved to the end of a line.
const lineWithin = 4 << 10

// excerpt is the output of a session as far as it is returned: all of it, or its beginning and its end.
type excerpt struct {
	head    []byte
	tail    []byte
	omitted int64 // how many bytes are left out between them
	resume  int64 // if any are: the position at which they begin
	lost    int64 // how many bytes were not kept, of which head and tail have notes
	last    int64 // the position after the tail
}

// text returns the excerpt with a note of what was left out.
func (e *excerpt) text() string {
	var b strings.Builder
	b.WriteString(validText(e.head))
	if e.omitted > 0 {
		if len(e.head) > 0 && e.head[len(e.head)-1] != '\n' {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%d bytes are left out here: read_output with after_seq %d returns what follows]\n", e.omitted, e.resume)
	}
	b.WriteString(validText(e.tail))
	return b.String()
}

// cutHead returns how much of the beginning of b, of which more follows, is kept: up to the end of a
// line if one is near, else of a character.
func cutHead(b []byte) int {
	from := max(0, len(b)-lineWithin)
	if i := bytes.LastIndexByte(b[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	for n := len(b); n > max(0, len(b)-utf8.UTFMax); n-- {
		if utf8.RuneStart(b[n-1]) {
			if utf8.FullRune(b[n-1:]) {
				return len(b)
			}
			return n - 1
		}
	}
	return len(b)
}

// cutTail returns how much is removed from the beginning of b, before which something was left out:
// up to the end of a line if one is near, else of a character.
func cutTail(b []byte) (n int) {
	if i := bytes.IndexByte(b[:min(len(b), lineWithin)], '\n'); i >= 0 {
		return i + 1
	}
	for n < len(b) && n < utf8.UTFMax-1 && !utf8.RuneStart(b[n]) {
		n++
	}
	return n
}

// lastLine returns the newest line of output that is not blank, on one line of at most maxLineRunes
// characters.
func lastLine(b []byte) string {
	line := ""
	for _, part := range bytes.FieldsFunc(b, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if text := strings.TrimSpace(validText(part)); text != "" {
			line = text
		}
	}
	return clip(line, maxLineRunes)
}

// clip returns at most n characters of a text.
func clip(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}
