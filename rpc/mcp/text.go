package mcp

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// colors are the sequences of ECMA-48 that select colors and other renditions (SGR).
var colors = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// lineEnds are the ends of lines other than LF. A CR alone returns to the beginning of a line on a
// terminal, and what is overwritten there is kept as a line of its own.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// validText returns output as text for a host, which may write it to its terminal: without colors, and
// without characters that a terminal obeys or that hide or reorder others, see escaped. What is not
// UTF-8 becomes U+FFFD. The text has at most four times the bytes of the output.
func validText(b []byte) string {
	return visible(lineEnds.Replace(colors.ReplaceAllString(strings.ToValidUTF8(string(b), "\uFFFD"), "")))
}

// visible returns a text with escape sequences, as in Go, in place of the characters that are escaped.
func visible(text string) string {
	if strings.IndexFunc(text, escaped) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !escaped(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// oneLine returns a visible text without ends of lines.
func oneLine(text string) string {
	return visible(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}

// escaped reports whether a character is written as an escape sequence: the control characters of C0
// and C1 except tab and LF, DEL, what controls the direction of text (Unicode, UAX #9), line and
// paragraph separators, and tags, which are invisible to a user but not to a model.
func escaped(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x7f:
		return r < ' '
	case r == '\u2028' || r == '\u2029' || '\U000E0000' <= r && r <= '\U000E007F':
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
