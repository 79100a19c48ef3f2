package screen

import (
	"strconv"
	"strings"
)

// resetText makes a terminal what the paint relies on: it leaves the alternate screen, resets what an earlier
// program may have set, and clears the screen. The lines that have scrolled out stay.
const resetText = "\x1b\\\x1b[?1049l\x1b[!p\x1b[0m\x1b[r\x1b[?6l\x1b[4l\x1b[20l\x1b(B\x1b)B\x0f\x1b>\x1b[?7h" +
	"\x1b[?5W\x1b[?25h\x1b[0 q\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l"

// plainText resets the origin and the character sets.
const plainText = "\x1b[?6l\x1b(B\x1b)B\x0f"

const clearText = "\x1b[0m\x1b[H\x1b[2J"

// Detail is how much of a screen a paint has.
type Detail int

// Details are all, those with more first. With full detail, 100,000 cells may need several MiB of text.
var Details = []Detail{Full, WithoutPrimary, WithoutStyles, Plain}

const (
	// Full is everything.
	Full Detail = iota
	// WithoutPrimary leaves out the cells of the primary screen if the alternate screen is shown, and tab stops if
	// there are more than maxTabStops that are not the default.
	WithoutPrimary
	// WithoutStyles also leaves out the attributes and colors of the cells.
	WithoutStyles
	// Plain also leaves out combining characters, and does not position the cursor after characters about
	// whose width terminals may disagree. It is less than 1 MiB of JSON.
	Plain
)

// Paint returns text that makes a terminal of the same size show the same, and behave the same for the output
// that follows. An unfinished sequence at the end of the output is at the end of the text too.
func (s *Screen) Paint(detail Detail) string {
	s.writeWrapped()
	b := append(make([]byte, 0, 4096), resetText...)
	for _, m := range keptModes {
		if !m.varies {
			b = appendMode(b, m.number, false)
		}
	}
	b = append(b, clearText...)
	b = append(b, "\x1b[?7l"...)
	if detail < WithoutPrimary || !s.isAlternate() {
		b = s.appendRows(b, &s.primary, detail)
	}
	if s.isAlternate() {
		if s.primary.isSaved {
			b = s.appendSaved(b, &s.primary.saved)
			if s.enteredBy != 1049 { // 1049 saves the cursor
				b = append(b, "\x1b7"...)
			}
		}
		b = append(appendMode(b, s.enteredBy, true), plainText...)
		b = append(b, clearText...)
		b = s.appendRows(b, &s.alternate, detail)
	}
	if s.current.isSaved {
		b = append(s.appendSaved(b, &s.current.saved), "\x1b7"...)
	}
	b = append(b, plainText...)
	b = s.appendTabs(b, detail)
	b = s.appendModes(b)
	b = s.appendCursor(b)
	return string(append(b, s.parser.unfinished()...))
}

func appendMode(b []byte, mode int, set bool) []byte {
	b = strconv.AppendInt(append(b, "\x1b[?"...), int64(mode), 10)
	if set {
		return append(b, 'h')
	}
	return append(b, 'l')
}

// appendPosition appends a CUP to a position from 0 on.
func appendPosition(b []byte, x, y int) []byte {
	b = strconv.AppendInt(append(b, "\x1b["...), int64(y+1), 10)
	b = strconv.AppendInt(append(b, ';'), int64(x+1), 10)
	return append(b, 'H')
}

// appendRows appends the cells of a buffer, for a cleared screen that does not wrap.
func (s *Screen) appendRows(b []byte, from *buffer, detail Detail) []byte {
	pen, at := style{}, position{}
	for y := range from.rows {
		b = s.appendRow(b, &from.rows[y], y, &at, &pen, detail)
	}
	return b
}

// position is where the cursor of the terminal is. A negative x is not known.
type position struct{ x, y int }

// appendMove appends what moves the cursor to a later cell. Between them all cells are blank. For Plain this needs
// few bytes of JSON, where a CUP may have 17.
func (p position) appendMove(b []byte, x, y int, detail Detail) []byte {
	const maxLines, maxSpaces = 4, 8
	if detail < Plain || y-p.y > maxLines {
		return appendPosition(b, x, y)
	}
	spaces := x
	if y == p.y {
		spaces -= p.x
	}
	if spaces > maxSpaces {
		return appendPosition(b, x, y)
	}
	if y > p.y {
		b = append(b, '\r')
		b = append(b, strings.Repeat("\n", y-p.y)...)
	}
	return append(b, strings.Repeat(" ", spaces)...)
}

func (s *Screen) appendRow(b []byte, r *row, y int, at *position, pen *style, detail Detail) []byte {
	end := s.cols
	if r.fill == 0 {
		for end = len(r.cells); end > 0 && r.cells[end-1] == blank(0); end-- {
		}
	}
	for x := 0; x < end; {
		c := r.at(x)
		c.reduce(detail)
		if c == blank(0) {
			x++
			continue
		}
		if *at != (position{x, y}) || x == 0 && detail < Plain {
			b = at.appendMove(b, x, y, detail)
		}
		if c.style != *pen {
			b, *pen = c.style.appendSGR(b), c.style
		}
		x += max(1, int(c.width))
		if c.combining != "" && x == s.cols {
			// A terminal that does not wrap would combine it with the character before.
			b = appendMode(c.appendText(appendMode(b, modeAutowrap, true)), modeAutowrap, false)
		} else {
			b = c.appendText(b)
		}
		*at = position{x, y}
		if detail < Plain && c.mayDiffer() {
			at.x = -1
		}
	}
	return b
}

// appendText appends the character.
func (c *cell) appendText(b []byte) []byte {
	if c.char == 0 {
		return append(b, ' ')
	}
	return append(append(b, string(c.char)...), c.combining...)
}

// reduce leaves out what a paint of less detail does not have.
func (c *cell) reduce(detail Detail) {
	if detail >= WithoutStyles {
		c.style = style{}
	}
	if detail >= Plain {
		c.combining = ""
	}
}

// mayDiffer reports whether terminals may disagree about the width.
func (c *cell) mayDiffer() bool {
	return c.width != 1 || c.combining != "" || c.char >= 0x2600 && c.char < 0x2800 || c.char >= 0xe000
}

// appendSaved appends what moves the cursor to where it was saved, with its pen, sets and origin. There is no
// scroll region.
func (s *Screen) appendSaved(b []byte, v *saved) []byte {
	b = appendSets(v.pen.appendSGR(b), &v.sets)
	return appendPosition(appendMode(b, modeOrigin, v.origin), v.x, v.y)
}

// appendSets appends the designations of the character sets.
func appendSets(b []byte, c *charsets) []byte {
	for g, final := range c.designated {
		if final != 0 {
			b = append(b, esc, "()*+"[g], final)
		} else if g < 2 {
			b = append(b, esc, "()*+"[g], 'B')
		}
	}
	return append(b, []string{"\x0f", "\x0e", "\x1bn", "\x1bo"}[c.active]...)
}

// appendRegion appends the scroll region.
func (s *Screen) appendRegion(b []byte) []byte {
	if s.top == 0 && s.bottom == s.rows-1 {
		return append(b, "\x1b[r"...)
	}
	b = strconv.AppendInt(append(b, "\x1b["...), int64(s.top+1), 10)
	b = strconv.AppendInt(append(b, ';'), int64(s.bottom+1), 10)
	return append(b, 'r')
}

// appendTabs appends the tab stops if they are not the default.
func (s *Screen) appendTabs(b []byte, detail Detail) []byte {
	if !s.tabsChanged || detail > Full && s.countTabs() > maxTabStops {
		return b
	}
	b = append(b, "\x1b[3g"...)
	for x, set := range s.tabs {
		if set {
			b = append(appendPosition(b, x, 0), "\x1bH"...)
		}
	}
	return b
}

func (s *Screen) countTabs() (n int) {
	for _, set := range s.tabs {
		if set {
			n++
		}
	}
	return n
}

// appendModes appends all modes except those that belong to the cursor.
func (s *Screen) appendModes(b []byte) []byte {
	for i, m := range keptModes {
		if s.modes[i] {
			b = appendMode(b, m.number, true)
		}
	}
	if s.mouse != 0 {
		b = appendMode(b, s.mouse, true)
	}
	if s.insert {
		b = append(b, "\x1b[4h"...)
	}
	if s.newline {
		b = append(b, "\x1b[20h"...)
	}
	if s.keypad {
		b = append(b, "\x1b="...)
	}
	if s.title != "" {
		b = append(append(append(b, "\x1b]2;"...), s.title...), "\x1b\\"...)
	}
	if s.shape != 0 {
		b = strconv.AppendInt(append(b, "\x1b["...), int64(s.shape), 10)
		b = append(b, " q"...)
	}
	return b
}

// appendCursor appends the position of the cursor, the pen, and what belongs to them.
func (s *Screen) appendCursor(b []byte) []byte {
	b = s.appendRegion(b)
	b = appendMode(b, modeOrigin, s.origin)
	b = appendMode(b, modeAutowrap, s.autowrap)
	y := s.y
	if s.origin {
		y -= s.top
	}
	if s.wrap {
		b = s.appendWrap(b, y)
	} else {
		b = appendPosition(b, s.x, max(0, y))
	}
	b = appendSets(s.pen.appendSGR(b), &s.sets)
	if s.hideCursor {
		b = appendMode(b, modeCursor, false)
	}
	return b
}

// writeWrapped makes a blank in the last column a space if the next character wraps, as appendWrap does.
func (s *Screen) writeWrapped() {
	r, last := s.row(), s.cols-1
	if c := r.at(last); s.wrap && c.char == 0 && !c.isRightHalf() {
		r.extend(s.cols)
		r.cells[last].char = ' '
	}
}

// appendWrap writes the last column again, so that the next character wraps.
func (s *Screen) appendWrap(b []byte, y int) []byte {
	x := s.cols - 1
	c := s.row().at(x)
	if c.isRightHalf() && x > 0 {
		x--
		c = s.row().at(x)
	}
	b = append(b, "\x1b[4l\x1b(B\x0f"...)
	b = appendPosition(b, x, max(0, y))
	b = c.appendText(c.style.appendSGR(b))
	if s.insert {
		b = append(b, "\x1b[4h"...)
	}
	return b
}
