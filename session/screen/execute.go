package screen

import (
	"bytes"
	"strings"
	"unicode"
)

// execute carries out a control character.
func (s *Screen) execute(b byte) {
	s.work++
	switch b {
	case '\b':
		s.moveBy(-1, 0)
	case '\t':
		s.tab(1)
	case '\n', '\v', '\f':
		s.index()
		if s.newline {
			s.x = 0
		}
	case '\r':
		s.x, s.wrap = 0, false
	case 0x0e:
		s.sets.active = 1
	case 0x0f:
		s.sets.active = 0
	}
}

// escape carries out ESC and a final byte.
func (s *Screen) escape(final byte) {
	s.work++
	switch final {
	case '7':
		s.save()
	case '8':
		s.restore()
	case 'D':
		s.index()
	case 'E':
		s.x = 0
		s.index()
	case 'H':
		s.tabs[s.x], s.tabsChanged = true, true
	case 'M':
		s.reverseIndex()
	case 'c':
		s.reset()
	case 'n':
		s.sets.active = 2
	case 'o':
		s.sets.active = 3
	case '=':
		s.keypad = true
	case '>':
		s.keypad = false
	}
}

// escapeWith carries out ESC with an intermediate byte.
func (s *Screen) escapeWith(intermediate, final byte) {
	switch intermediate {
	case '(', ')', '*', '+':
		s.sets.designate(int(intermediate-'('), final)
	case '#':
		if final == '8' {
			s.align()
		}
	}
}

// align is DECALN: it fills the screen with E.
func (s *Screen) align() {
	s.work += cellWork * s.rows * s.cols
	s.top, s.bottom, s.origin = 0, s.rows-1, false
	s.moveTo(0, 0)
	for y := range s.current.rows {
		r := &s.current.rows[y]
		r.clear(0)
		for range s.cols {
			r.cells = append(r.cells, cell{char: 'E', width: 1})
		}
	}
}

// softReset is DECSTR.
func (s *Screen) softReset() {
	s.pen, s.sets = style{}, charsets{}
	s.top, s.bottom = 0, s.rows-1
	s.origin, s.autowrap, s.insert, s.keypad, s.hideCursor = false, true, false, false, false
	s.setPrivate(1, false)
	s.current.saved, s.current.isSaved = saved{}, false
}

// command carries out an OSC. Only titles are kept.
func (s *Screen) command(text []byte) {
	number, rest, ok := bytes.Cut(text, []byte(";"))
	if n := string(number); !ok || n != "0" && n != "2" {
		return
	}
	s.title = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(rest), ""))
}
