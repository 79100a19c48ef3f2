package tty

import (
	"bytes"
	"unicode/utf8"
)

// Quiet makes old output harmless for a terminal whose input is forwarded: what remains is text, and the control
// sequences that move the cursor, erase, or select colors (SGR). A terminal answers none of these. All others are
// removed, since those that are answered cannot be listed: terminals add queries. The zero value is ready for use.
// It is not safe for concurrent use.
type Quiet struct {
	state    parserState
	sequence []byte                // of a control sequence, from ESC [ on
	char     [utf8.UTFMax - 1]byte // an incomplete character
	chars    int
}

// quietFinals are the last bytes of the control sequences without a prefix that remain.
const quietFinals = "ABCDEFGHJKXdfm"

// Pending reports whether the output ends in a sequence or in a character.
func (q *Quiet) Pending() bool { return q.state != ground || q.chars > 0 }

// Filter returns what remains of output. The end of a sequence or a character may follow in the next call.
func (q *Quiet) Filter(output []byte) []byte {
	output = append(q.char[:q.chars:q.chars], output...)
	q.chars = 0
	out := make([]byte, 0, len(output))
	for len(output) > 0 {
		if q.state != ground || output[0] < utf8.RuneSelf {
			out = q.next(out, output[0])
			output = output[1:]
			continue
		}
		if !utf8.FullRune(output) {
			q.chars = copy(q.char[:], output)
			break
		}
		r, n := utf8.DecodeRune(output)
		if r >= 0xa0 { // below are the C1 controls
			out = utf8.AppendRune(out, r)
		}
		output = output[n:]
	}
	return out
}

// next processes a byte, which in text is ASCII.
func (q *Quiet) next(out []byte, b byte) []byte {
	switch {
	case b == esc:
		q.state = escape
	case b == can || b == sub:
		q.state = ground
	case q.state == text:
		if b == bel {
			q.state = ground
		}
	case q.state == ground:
		if b >= ' ' && b < 0x7f || b >= bel && b <= '\r' {
			return append(out, b)
		}
	case b < ' ': // would be executed within a sequence
	default:
		return q.inSequence(out, b)
	}
	return out
}

func (q *Quiet) inSequence(out []byte, b byte) []byte {
	switch q.state {
	case escape:
		switch {
		case b == '[':
			q.state, q.sequence = control, append(q.sequence[:0], esc, b)
		case bytes.IndexByte([]byte("]P_^X"), b) >= 0:
			q.state = text
		case b < 0x30:
			q.state = intermediate
		default:
			q.state = ground
		}
	case intermediate:
		if b >= 0x30 {
			q.state = ground
		}
	case control:
		if len(q.sequence) < maxSequence {
			q.sequence = append(q.sequence, b)
		}
		if b < 0x40 {
			return out
		}
		q.state = ground
		if q.mayRemain() {
			return append(out, q.sequence...)
		}
	}
	return out
}

// mayRemain reports whether the complete control sequence is one that remains.
func (q *Quiet) mayRemain() bool {
	last := len(q.sequence) - 1
	params := q.sequence[len("\x1b["):last]
	return bytes.IndexByte([]byte(quietFinals), q.sequence[last]) >= 0 && len(bytes.Trim(params, "0123456789;:")) == 0
}
