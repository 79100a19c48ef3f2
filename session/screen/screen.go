package screen

import (
	"errors"

	"github.com/mattn/go-runewidth"
)

// ErrTooMuchWork means that a screen would need more than MaxWork.
var ErrTooMuchWork = errors.New("the output needs too much work for a screen")

// Screen is an emulated terminal. It must not be used concurrently.
type Screen struct {
	rows, cols int
	primary    buffer
	alternate  buffer
	current    *buffer
	enteredBy  int // the mode that has entered the alternate screen

	x, y        int
	wrap        bool // the next character goes to the next line, since the last column is written
	pen         style
	sets        charsets
	top, bottom int // the scroll region, inclusive
	tabs        []bool
	tabsChanged bool
	last        rune // the last character, for REP

	origin, autowrap, insert, newline, keypad, hideCursor bool

	shape int    // of the cursor, as DECSCUSR has it; 0 is the default
	mouse int    // the mode that selects the events of the mouse; 0 is none
	modes []bool // of keptModes: whether one is set
	title string

	parser parser
	work   int
}

// New returns a cleared terminal. The error is a *TooLargeError.
func New(rows, cols int) (*Screen, error) {
	if err := CheckSize(rows, cols); err != nil {
		return nil, err
	}
	s := new(Screen)
	s.init(max(1, rows), max(1, cols))
	return s, nil
}

// init makes a cleared terminal of a size.
func (s *Screen) init(rows, cols int) {
	s.rows, s.cols = rows, cols
	s.primary, s.alternate = newBuffer(rows), newBuffer(rows)
	s.modes, s.tabs = make([]bool, len(keptModes)), make([]bool, cols)
	s.parser.screen = s
	s.reset()
}

// reset is RIS.
func (s *Screen) reset() {
	s.pen, s.sets, s.title, s.shape, s.last = style{}, charsets{}, "", 0, 0
	for _, b := range []*buffer{&s.alternate, &s.primary} {
		s.current = b
		s.eraseRows(0, s.rows)
		b.saved, b.isSaved = saved{}, false
	}
	s.x, s.y, s.wrap = 0, 0, false
	s.top, s.bottom = 0, s.rows-1
	s.origin, s.autowrap, s.insert, s.newline, s.keypad, s.hideCursor = false, true, false, false, false, false
	s.mouse = 0
	clear(s.modes)
	s.resetTabs()
}

func (s *Screen) resetTabs() {
	s.work += s.cols
	clear(s.tabs)
	s.tabsChanged = false
	for x := 8; x < s.cols; x += 8 {
		s.tabs[x] = true
	}
}

// Size returns the size in characters.
func (s *Screen) Size() (rows, cols int) { return s.rows, s.cols }

// Write processes output. The error is ErrTooMuchWork; then the screen is not what the program made of it.
func (s *Screen) Write(p []byte) (int, error) {
	for i, b := range p {
		s.parser.next(b)
		if s.work > MaxWork {
			return i + 1, ErrTooMuchWork
		}
	}
	return len(p), nil
}

// Resize changes the size, as a terminal does that does not reflow lines. A size with too many cells is
// reduced: a program can have had any earlier.
func (s *Screen) Resize(rows, cols int) {
	rows = min(max(1, rows), MaxCells)
	cols = min(max(1, cols), MaxCells/rows)
	if rows == s.rows && cols == s.cols {
		return
	}
	s.work += rows + cols
	other := &s.primary
	if !s.isAlternate() {
		other = &s.alternate
	}
	s.y -= s.current.resize(rows, cols, s.y)
	other.resize(rows, cols, min(other.saved.y, len(other.rows)-1))
	if s.wrap && cols > s.cols {
		s.x++
	}
	s.rows, s.cols = rows, cols
	s.top, s.bottom = 0, rows-1
	s.x, s.y, s.wrap = min(s.x, cols-1), min(max(0, s.y), rows-1), false
	tabs, changed := s.tabs, s.tabsChanged
	s.tabs = make([]bool, cols)
	s.resetTabs()
	if changed {
		copy(s.tabs, tabs)
		s.tabsChanged = true
	}
}

func (s *Screen) isAlternate() bool { return s.current == &s.alternate }

func (s *Screen) row() *row { return &s.current.rows[s.y] }

// widths are those of a terminal that is not East Asian: an ambiguous character is narrow.
var widths = runewidth.Condition{StrictEmojiNeutral: true}

func width(r rune) int {
	if r >= 0x20 && r < 0x7f {
		return 1
	}
	return widths.RuneWidth(r)
}

// print writes a character at the cursor.
func (s *Screen) print(r rune) {
	s.work += 2 * cellWork
	if r < 0x80 {
		r = s.sets.translate(r)
	}
	w := width(r)
	if w == 0 {
		s.combine(r)
		return
	}
	if w > s.cols {
		return
	}
	if s.wrap || w > s.cols-s.x {
		if s.autowrap {
			s.x = 0
			s.index()
		} else {
			s.x = min(s.x, s.cols-w)
		}
	}
	s.wrap, s.last = false, r
	line := s.row()
	if s.insert {
		s.work += cellWork * s.cols
		line.insert(s.x, w, s.cols, 0)
	}
	line.splitWide(s.x)
	line.splitWide(s.x + w)
	s.work += cellWork * max(0, s.x-len(line.cells))
	line.extend(s.x + w)
	line.cells[s.x] = cell{char: r, width: uint8(w), style: s.pen}
	if w == 2 {
		line.cells[s.x+1] = cell{style: s.pen}
	}
	if s.x += w; s.x >= s.cols {
		s.x, s.wrap = s.cols-1, s.autowrap
	}
}

// combine adds a combining character to the character before the cursor.
func (s *Screen) combine(r rune) {
	line, x := s.row(), s.x
	if !s.wrap {
		x--
	}
	if x > 0 && x < len(line.cells) && line.cells[x].isRightHalf() {
		x--
	}
	if x < 0 || x >= len(line.cells) || line.cells[x].char == 0 {
		return
	}
	if c := &line.cells[x]; len(c.combining) < maxCombining {
		c.combining += string(r)
	}
}

// index moves the cursor down, and scrolls at the bottom of the scroll region.
func (s *Screen) index() {
	s.wrap = false
	switch s.y {
	case s.bottom:
		s.scrollUp(s.top, 1)
	case s.rows - 1:
	default:
		s.y++
	}
}

// reverseIndex moves the cursor up, and scrolls at the top of the scroll region.
func (s *Screen) reverseIndex() {
	s.wrap = false
	switch s.y {
	case s.top:
		s.scrollDown(s.top, 1)
	case 0:
	default:
		s.y--
	}
}

// scrollUp and scrollDown scroll the part of the scroll region that begins at top.
func (s *Screen) scrollUp(top, n int) {
	s.work += s.bottom - top + 1
	s.current.scrollUp(top, s.bottom, n, s.pen.bg)
}

func (s *Screen) scrollDown(top, n int) {
	s.work += s.bottom - top + 1
	s.current.scrollDown(top, s.bottom, n, s.pen.bg)
}

// eraseRows makes the rows from y0 up to y1 blank.
func (s *Screen) eraseRows(y0, y1 int) {
	s.work += max(1, y1-y0)
	for y := y0; y < y1; y++ {
		s.current.rows[y].clear(s.pen.bg)
	}
}

// erase makes the cells of the cursor's row from x0 up to x1 blank.
func (s *Screen) erase(x0, x1 int) {
	s.work += cellWork * s.row().erase(x0, min(x1, s.cols), s.cols, s.pen.bg)
}

// moveTo moves the cursor to a position as CUP has it, from 0 on.
func (s *Screen) moveTo(x, y int) {
	first, last := 0, s.rows-1
	if s.origin {
		first, last = s.top, s.bottom
		y += first
	}
	s.x, s.y, s.wrap = min(max(x, 0), s.cols-1), min(max(y, first), last), false
}

// moveBy moves the cursor. It does not leave the scroll region.
func (s *Screen) moveBy(dx, dy int) {
	first, last := 0, s.rows-1
	if s.y >= s.top {
		first = s.top
	}
	if s.y <= s.bottom {
		last = s.bottom
	}
	if s.y < s.top {
		first = 0
	}
	if s.y > s.bottom {
		last = s.rows - 1
	}
	s.x, s.y, s.wrap = min(max(s.x+dx, 0), s.cols-1), min(max(s.y+dy, first), last), false
}

func (s *Screen) save() {
	s.current.saved = saved{x: s.x, y: s.y, pen: s.pen, wrap: s.wrap, origin: s.origin, sets: s.sets}
	s.current.isSaved = true
}

func (s *Screen) restore() {
	v := s.current.saved
	s.x, s.y, s.pen, s.wrap, s.origin, s.sets = v.x, v.y, v.pen, v.wrap, v.origin, v.sets
	if s.origin {
		s.y = min(max(s.y, s.top), s.bottom)
	}
}

// tab moves the cursor n tab stops to the right.
func (s *Screen) tab(n int) {
	s.work += s.cols - s.x
	for ; n > 0 && s.x < s.cols-1; n-- {
		for s.x++; s.x < s.cols-1 && !s.tabs[s.x]; s.x++ {
		}
	}
}

// backTab moves the cursor n tab stops to the left.
func (s *Screen) backTab(n int) {
	s.work += s.x
	s.wrap = false
	for ; n > 0 && s.x > 0; n-- {
		for s.x--; s.x > 0 && !s.tabs[s.x]; s.x-- {
		}
	}
}
