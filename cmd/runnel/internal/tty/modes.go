package tty

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxSequence is how many bytes of a sequence are looked at. A longer control sequence has no effect on Modes.
	maxSequence = 128
	// maxTitles is how many titles xterm saves.
	maxTitles = 10
)

// SaveTitle and RestoreTitle make a terminal save its title on a stack, and restore it, as in xterm. A terminal
// without such a stack ignores them.
const (
	SaveTitle    = "\x1b[22;0t"
	RestoreTitle = "\x1b[23;0t"
)

// resettable are the private modes (DECSET) that Modes knows, with the value that they have in a
// terminal that a shell uses.
var resettable = map[int]bool{
	1:    false, // DECCKM: the cursor keys send application sequences
	5:    false, // DECSCNM: reverse video
	6:    false, // DECOM: origin mode
	7:    true,  // DECAWM: autowrap
	9:    false, // mouse, as X10
	25:   true,  // DECTCEM: the cursor is visible
	47:   false, // alternate screen
	66:   false, // DECNKM: application keypad
	69:   false, // DECLRMM: left and right margins
	1000: false, // mouse
	1001: false,
	1002: false,
	1003: false,
	1004: false, // focus events
	1005: false, // mouse coordinates
	1006: false,
	1015: false,
	1016: false,
	1047: false, // alternate screen
	1049: false, // alternate screen, and the cursor
	2004: false, // bracketed paste
	2026: false, // synchronized output
	2031: false, // reports of the color scheme
}

// Modes are the modes and the colors of a terminal that the output written to it has set, and that its shell does
// not expect, and the titles that it has saved. The zero value is a terminal in which nothing is set. It is not
// safe for concurrent use.
type Modes struct {
	private  map[int]bool // those of resettable that differ from their value there
	pen      bool         // SGR
	margins  bool         // DECSTBM
	insert   bool         // IRM
	newline  bool         // LNM
	keypad   bool         // DECKPAM
	charsets [4]bool      // G0 to G3 that may not be ASCII
	shifted  bool         // another one than G0 is in use
	shape    bool         // DECSCUSR: the shape of the cursor
	keyboard int          // levels of the keyboard protocol (CSI > u) that are not popped
	keys     bool         // modifyOtherKeys (CSI > 4 m)
	colors   colors
	titles   int // saved ones (CSI 22 t) that are not restored

	state    parserState
	sequence []byte // of a control sequence, an escape sequence or a string, without ESC and the byte after it
}

type parserState uint8

const (
	ground parserState = iota
	escape
	intermediate // ESC and bytes of 0x20 to 0x2f
	control      // CSI
	text         // the string of an OSC, DCS, APC, PM or SOS
	textEscape   // ESC in a string, which ends it
)

const (
	bel = 0x07
	so  = 0x0e
	si  = 0x0f
	can = 0x18
	sub = 0x1a
	esc = 0x1b
)

// Write takes note of the modes that output sets. It never fails.
func (m *Modes) Write(output []byte) (int, error) {
	for rest := output; len(rest) > 0; {
		if m.state == ground || m.state == text { // fast: most output has no effect
			n := bytes.IndexFunc(rest, isControl)
			if n < 0 {
				n = len(rest)
			}
			if m.state == text {
				m.collect(rest[:n]...)
			}
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
		m.next(rest[0])
		rest = rest[1:]
	}
	return len(output), nil
}

func isControl(r rune) bool { return r < 0x20 }

func (m *Modes) next(b byte) {
	switch {
	case b == can || b == sub:
		m.state = ground
	case b == esc && m.state == text:
		m.state = textEscape
		m.endString()
	case b == esc:
		m.state = escape
	case m.state == text:
		if b == bel {
			m.state = ground
			m.endString()
		}
	case b == so || b == si:
		m.shifted = b == so
	case b < 0x20: // is executed within a sequence
	default:
		m.inSequence(b)
	}
}

func (m *Modes) inSequence(b byte) {
	switch m.state {
	case escape, textEscape:
		m.sequence = m.sequence[:0]
		m.escaped(b)
	case intermediate:
		m.collect(b)
		if b >= 0x30 {
			m.state = ground
			m.charset(m.sequence)
		}
	case control:
		if b < 0x40 {
			m.collect(b)
			return
		}
		m.state = ground
		if len(m.sequence) < maxSequence {
			m.controlled(m.sequence, b)
		}
	}
}

func (m *Modes) collect(b ...byte) {
	m.sequence = append(m.sequence, b[:min(len(b), maxSequence-len(m.sequence))]...)
}

// endString handles a string of which the sequence is the beginning. What is not an OSC begins with a byte that
// none has.
func (m *Modes) endString() { m.colors.command(m.sequence) }

// escaped handles the first byte after ESC.
func (m *Modes) escaped(b byte) {
	m.state = ground
	switch b {
	case '[':
		m.state = control
	case ']':
		m.state = text
	case 'P', '_', '^', 'X':
		m.state = text
		m.collect(b)
	case '=', '>':
		m.keypad = b == '='
	case 'c': // RIS, which resets colors in some terminals only
		*m = Modes{sequence: m.sequence, colors: m.colors, titles: m.titles}
	case 'n', 'o', '|', '}', '~': // LS2, LS3 and others
		m.shifted = true
	default:
		if b < 0x30 {
			m.state = intermediate
			m.collect(b)
		}
	}
}

// designations are the first bytes of what designates G0 to G3, with 94 characters and then with 96, of
// which G0 cannot have any.
const designations = "()*+\x00-./"

// charset handles the designation of a character set, whose first byte is that of G0 to G3.
func (m *Modes) charset(sequence []byte) {
	if n := bytes.IndexByte([]byte(designations), sequence[0]); n >= 0 {
		m.charsets[n%4] = n > 4 || string(sequence[1:]) != "B"
	}
}

// controlled handles a control sequence.
func (m *Modes) controlled(sequence []byte, final byte) {
	prefix := byte(0)
	if len(sequence) > 0 && sequence[0] >= '<' {
		prefix, sequence = sequence[0], sequence[1:]
	}
	params := sequence
	if n := bytes.IndexFunc(sequence, func(r rune) bool { return r < 0x30 }); n >= 0 {
		params = sequence[:n]
	}
	between := string(sequence[len(params):])
	switch string(prefix) + between + string(final) {
	case "?h", "?l":
		m.setPrivate(params, final == 'h')
	case "\x00h", "\x00l":
		m.set(params, final == 'h')
	case "\x00m":
		m.pen = !isReset(params)
	case "\x00r":
		m.margins = len(params) > 0
	case "\x00 q":
		m.shape = !isReset(params)
	case "\x00t":
		m.title(params)
	case "\x00!p": // DECSTR
		m.softReset()
	case ">u":
		m.keyboard = min(m.keyboard+1, maxSequence)
	case "<u":
		m.keyboard = max(0, m.keyboard-max(1, number(params)))
	case ">m":
		m.keys = string(params) != "" && string(params) != "4" && string(params) != "4;0"
	}
}

// title handles the operations of windows that save the title and restore it.
func (m *Modes) title(params []byte) {
	switch string(params) {
	case "22", "22;0", "22;2":
		m.titles = min(m.titles+1, maxTitles)
	case "23", "23;0", "23;2":
		m.titles = max(0, m.titles-1)
	}
}

// isReset reports whether all params are 0 or left out.
func isReset(params []byte) bool {
	return len(bytes.Trim(params, "0;")) == 0
}

func number(param []byte) int {
	n, _ := strconv.Atoi(string(param))
	return n
}

func (m *Modes) setPrivate(params []byte, on bool) {
	for param := range bytes.SplitSeq(params, []byte(";")) {
		mode := number(param)
		usual, known := resettable[mode]
		switch {
		case !known:
		case !on && slices.Contains(alternateModes, mode): // leaves it, whichever mode has entered it
			for _, alternate := range alternateModes {
				delete(m.private, alternate)
			}
		case on == usual:
			delete(m.private, mode)
		default:
			if m.private == nil {
				m.private = make(map[int]bool)
			}
			m.private[mode] = true
		}
	}
}

// alternateModes are the modes that enter the alternate screen.
var alternateModes = []int{47, 1047, 1049}

func (m *Modes) onAlternateScreen() bool {
	return m.private[47] || m.private[1047] || m.private[1049]
}

func (m *Modes) set(params []byte, on bool) {
	for param := range bytes.SplitSeq(params, []byte(";")) {
		switch number(param) {
		case 4:
			m.insert = on
		case 20:
			m.newline = on
		}
	}
}

// softReset handles DECSTR, which leaves the screen and the mouse as they are.
func (m *Modes) softReset() {
	for _, mode := range []int{1, 6, 7, 25, 66, 69} {
		delete(m.private, mode)
	}
	m.pen, m.margins, m.insert, m.keypad = false, false, false, false
	m.charsets, m.shifted = [4]bool{}, false
}

// Reset returns what makes the terminal usable for a shell, and forgets all modes. It is empty if nothing
// is set. On the alternate screen it leaves that, else the cursor stays where it is.
func (m *Modes) Reset() []byte {
	var out []byte
	add := func(set bool, sequence string) {
		if set {
			out = append(out, sequence...)
		}
	}
	if m.state == text {
		m.endString() // as the terminal does
	}
	add(m.state == text || m.state == textEscape, "\x1b\\")
	add(m.state == escape || m.state == intermediate || m.state == control, "\x18")
	// The keyboard first: each screen has levels of its own.
	add(m.keyboard > 0, "\x1b[<"+strconv.Itoa(m.keyboard)+"u")
	add(m.keys, "\x1b[>4;0m")
	alternate := m.onAlternateScreen()
	moves := m.margins || m.private[6] || m.private[69] // these move the cursor
	add(moves && !alternate, "\x1b7")
	add(m.private[69], "\x1b[?69l")
	add(m.margins, "\x1b[r")
	add(m.private[6], "\x1b[?6l")
	add(moves && !alternate, "\x1b8\x1b[?6l") // DECRC restores the origin mode, too
	for _, mode := range modesInOrder {
		if m.private[mode] && mode != 6 && mode != 69 {
			out = append(out, privateMode(mode, resettable[mode])...)
		}
	}
	add(m.insert, "\x1b[4l")
	add(m.newline, "\x1b[20l")
	add(m.keypad, "\x1b>")
	for i, other := range m.charsets {
		add(other, "\x1b"+designations[i:i+1]+"B")
	}
	add(m.shifted, "\x0f")
	add(m.shape, "\x1b[0 q")
	add(m.pen || alternate || moves, "\x1b[0m") // leaving the alternate screen, and DECRC, restore a pen
	out = m.colors.appendReset(out)
	add(m.titles > 0, strings.Repeat(RestoreTitle, m.titles))
	*m = Modes{sequence: m.sequence[:0]}
	return out
}

// modesInOrder are the modes of resettable in the order in which they are reset: synchronized output
// first, since it delays what follows, then the screen, whose cursor may be hidden, and then the others.
var modesInOrder = []int{2026, 1049, 1047, 47, 1, 5, 7, 9, 25, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2031}

func privateMode(mode int, on bool) string {
	final := "l"
	if on {
		final = "h"
	}
	return "\x1b[?" + strconv.Itoa(mode) + final
}
