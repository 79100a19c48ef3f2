package screen

import "unicode/utf8"

type parserState uint8

const (
	ground parserState = iota
	escape
	escapeIntermediate
	control      // CSI
	controlError // a CSI that is ignored
	oscString
	otherString // DCS, SOS, PM, APC, and the title of screen: ignored
)

const (
	esc = 0x1b
	bel = 0x07
	can = 0x18
	sub = 0x1a
	del = 0x7f
)

// parser divides output into characters and sequences. Raw C1 controls are not known, as in terminals that
// are set to UTF-8.
type parser struct {
	screen *Screen
	state  parserState

	char  [utf8.UTFMax]byte // the incomplete character
	chars int

	prefix       byte // one of <=>? of a CSI, or 0
	intermediate byte // the last one; 0 is none
	params       [maxParams]param
	count        int

	text []byte // of an OSC, at most maxTitle bytes

	pending []byte // the unfinished sequence, at most maxPending bytes
	length  int    // of the unfinished sequence
	opener  byte   // the byte after ESC that began a string
}

// param is a parameter of a CSI.
type param struct {
	value int
	given bool
	sub   bool // it follows a colon
}

// next processes a byte.
func (p *parser) next(b byte) {
	if p.chars > 0 {
		if b&0xc0 == 0x80 {
			p.continueChar(b)
			return
		}
		p.endChar()
	}
	switch {
	case b == esc:
		p.finishString()
		p.state, p.intermediate, p.length, p.pending = escape, 0, 1, append(p.pending[:0], b)
		return
	case p.state == ground:
		p.ground(b)
		return
	case b == can || b == sub:
		p.state = ground
		return
	}
	if b >= 0x20 && b != del { // a control is executed within a sequence and is not part of it
		if p.length++; p.length <= maxPending {
			p.pending = append(p.pending, b)
		}
	}
	switch p.state {
	case oscString:
		p.osc(b)
	case otherString:
	case escape, escapeIntermediate:
		p.escape(b)
	case control, controlError:
		p.control(b)
	}
}

func (p *parser) ground(b byte) {
	switch {
	case b < 0x20:
		p.screen.execute(b)
	case b < del:
		p.screen.print(rune(b))
	case b == del:
	case b >= 0xc2 && b <= 0xf4:
		p.char[0], p.chars = b, 1
	default:
		p.screen.print(utf8.RuneError)
	}
}

// continueChar adds a continuation byte to the incomplete character.
func (p *parser) continueChar(b byte) {
	p.char[p.chars] = b
	p.chars++
	if c := p.char[:p.chars]; utf8.FullRune(c) {
		r, n := utf8.DecodeRune(c)
		p.chars = 0
		switch {
		case r == utf8.RuneError && n <= 1:
			for range c {
				p.screen.print(utf8.RuneError)
			}
		case r >= 0x80 && r < 0xa0: // C1
		default:
			p.screen.print(r)
		}
	}
}

// endChar ends an incomplete character.
func (p *parser) endChar() {
	n := p.chars
	p.chars = 0
	for range n {
		p.screen.print(utf8.RuneError)
	}
}

func (p *parser) escape(b byte) {
	switch {
	case b < 0x20:
		p.screen.execute(b)
	case b < 0x30:
		p.state, p.intermediate = escapeIntermediate, b
	case b >= del:
		p.state = ground
	case p.state == escapeIntermediate:
		p.state = ground
		p.screen.escapeWith(p.intermediate, b)
	case b == '[':
		p.state, p.prefix, p.intermediate, p.count = control, 0, 0, 0
	case b == ']':
		p.state, p.opener, p.text = oscString, b, p.text[:0]
	case b == 'P' || b == 'X' || b == '^' || b == '_' || b == 'k':
		p.state, p.opener = otherString, b
	default:
		p.state = ground
		p.screen.escape(b)
	}
}

func (p *parser) control(b byte) {
	switch {
	case b < 0x20:
		p.screen.execute(b)
	case b == del:
	case b > del:
		p.state = ground
	case b >= 0x40:
		ok := p.state == control
		p.state = ground
		if ok {
			p.screen.control(p.prefix, p.intermediate, b, p.params[:p.count])
		}
	case p.state == controlError:
	case b >= 0x3c: // <=>?
		if p.count > 0 || p.prefix != 0 || p.intermediate != 0 {
			p.state = controlError
		}
		p.prefix = b
	case b < 0x30:
		if p.intermediate != 0 {
			p.state = controlError
		}
		p.intermediate = b
	case p.intermediate != 0:
		p.state = controlError
	default:
		p.parameter(b)
	}
}

// parameter processes a digit, a semicolon or a colon.
func (p *parser) parameter(b byte) {
	if p.count == 0 {
		p.params[0], p.count = param{}, 1
	}
	if b == ';' || b == ':' {
		if p.count == maxParams {
			p.state = controlError
			return
		}
		p.params[p.count] = param{sub: b == ':'}
		p.count++
		return
	}
	last := &p.params[p.count-1]
	last.value, last.given = min(last.value*10+int(b-'0'), maxParam), true
}

func (p *parser) osc(b byte) {
	switch {
	case b == bel:
		p.finishString()
		p.state = ground
	case b >= 0x20 && len(p.text) < maxTitle:
		p.text = append(p.text, b)
	}
}

// finishString ends an OSC.
func (p *parser) finishString() {
	if p.state == oscString {
		p.screen.command(p.text)
	}
}

// unfinished returns what puts the parser of another terminal into the same state: the unfinished sequence,
// or what begins such a string if that is long.
func (p *parser) unfinished() []byte {
	switch {
	case p.state == ground:
		return nil
	case p.length <= maxPending:
		return p.pending
	case p.state == oscString || p.state == otherString:
		return []byte{esc, p.opener}
	}
	return []byte{esc, '[', '>'} // with more parameters it is ignored
}
