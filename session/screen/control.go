package screen

// control carries out a CSI.
func (s *Screen) control(prefix, intermediate, final byte, params []param) {
	s.work++
	switch {
	case prefix == '?' && intermediate == 0 && (final == 'h' || final == 'l'):
		for i := range params {
			s.setPrivate(params[i].value, final == 'h')
		}
	case prefix == '?' && intermediate == 0 && (final == 'J' || final == 'K'): // protected cells are not known
		s.eraseBy(final, value(params, 0, 0))
	case prefix == '?' && final == 'W' && value(params, 0, 0) == 5:
		s.resetTabs()
	case prefix != 0:
	case intermediate == ' ' && final == 'q':
		s.shape = value(params, 0, 0)
	case intermediate == '!' && final == 'p':
		s.softReset()
	case intermediate == 0:
		if !s.move(final, params) {
			s.edit(final, params)
		}
	}
}

// value returns a parameter, or otherwise if it is not given.
func value(params []param, i, otherwise int) int {
	if i < len(params) && params[i].given {
		return params[i].value
	}
	return otherwise
}

// move carries out a CSI that moves the cursor, and reports whether it is one.
func (s *Screen) move(final byte, params []param) bool {
	n := max(1, value(params, 0, 1))
	switch final {
	case 'A', 'k':
		s.moveBy(0, -n)
	case 'B', 'e':
		s.moveBy(0, n)
	case 'C', 'a':
		s.moveBy(n, 0)
	case 'D', 'j':
		s.moveBy(-n, 0)
	case 'E':
		s.moveBy(-s.x, n)
	case 'F':
		s.moveBy(-s.x, -n)
	case 'G', '`':
		s.x, s.wrap = min(n, s.cols)-1, false
	case 'H', 'f':
		s.moveTo(max(1, value(params, 1, 1))-1, n-1)
	case 'd':
		s.moveTo(s.x, n-1)
	case 'I':
		s.tab(n)
	case 'Z':
		s.backTab(n)
	case 's':
		if len(params) == 0 {
			s.save()
		}
	case 'u':
		s.restore()
	default:
		return false
	}
	return true
}

// edit carries out a CSI that changes cells or a mode.
func (s *Screen) edit(final byte, params []param) {
	n := max(1, value(params, 0, 1))
	switch final {
	case 'J', 'K':
		s.eraseBy(final, value(params, 0, 0))
	case 'X':
		s.wrap = false
		s.erase(s.x, s.x+n)
	case '@':
		s.wrap = false
		s.work += cellWork * s.cols
		s.row().insert(s.x, n, s.cols, s.pen.bg)
	case 'P':
		s.wrap = false
		s.work += cellWork * s.cols
		s.row().remove(s.x, n, s.cols, s.pen.bg)
	case 'L', 'M':
		if s.y < s.top || s.y > s.bottom {
			return
		}
		s.x, s.wrap = 0, false
		if final == 'L' {
			s.scrollDown(s.y, n)
		} else {
			s.scrollUp(s.y, n)
		}
	case 'S':
		s.scrollUp(s.top, n)
	case 'T', '^':
		if len(params) <= 1 { // else it is about highlighting
			s.scrollDown(s.top, n)
		}
	case 'b':
		if s.last != 0 {
			for i := min(n, s.rows*s.cols); i > 0 && s.work <= MaxWork; i-- {
				s.print(s.last)
			}
		}
	case 'g':
		s.clearTabs(value(params, 0, 0))
	case 'h', 'l':
		for i := range params {
			s.setANSI(params[i].value, final == 'h')
		}
	case 'm':
		s.pen.apply(params)
	case 'r':
		s.setRegion(max(1, value(params, 0, 1)), value(params, 1, 0))
	}
}

// eraseBy is ED and EL.
func (s *Screen) eraseBy(final byte, what int) {
	s.wrap = false
	if final == 'J' {
		switch what {
		case 0:
			s.eraseRows(s.y+1, s.rows)
		case 1:
			s.eraseRows(0, s.y)
		case 2:
			s.eraseRows(0, s.rows)
			return
		default: // 3 is about lines that have scrolled out
			return
		}
	}
	switch what {
	case 0:
		s.erase(s.x, s.cols)
	case 1:
		s.erase(0, s.x+1)
	case 2:
		s.erase(0, s.cols)
	}
}

func (s *Screen) clearTabs(what int) {
	switch what {
	case 0:
		s.tabs[s.x], s.tabsChanged = false, true
	case 3:
		clear(s.tabs)
		s.tabsChanged = true
		s.work += s.cols
	}
}

// setRegion is DECSTBM, from 1 on.
func (s *Screen) setRegion(top, bottom int) {
	if bottom == 0 || bottom > s.rows {
		bottom = s.rows
	}
	if top < bottom {
		s.top, s.bottom = top-1, bottom-1
		s.moveTo(0, 0)
	}
}
