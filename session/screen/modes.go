package screen

// Modes that the emulator itself implements.
const (
	modeOrigin   = 6
	modeAutowrap = 7
	modeCursor   = 25
)

// keptModes are the private modes (DECSET) that a paint sets if the program has set them, in the order of the
// paint. They are reset by default. The alternate screen, the origin and the cursor are not among them.
var keptModes = []struct {
	number int
	varies bool // the default of terminals differs, so that a paint does not reset it
}{
	{1, false},    // application cursor keys
	{5, false},    // reverse video
	{12, true},    // blinking cursor
	{45, true},    // reverse wraparound
	{1004, false}, // focus events
	{1005, false}, // mouse coordinates in UTF-8
	{1006, false}, // mouse reports in the SGR form
	{1007, true},  // wheel as cursor keys
	{1015, false}, // mouse reports in the urxvt form
	{1016, false}, // mouse reports in pixels
	{2004, false}, // bracketed paste
}

// isMouse reports whether a mode selects which events of the mouse are reported. One replaces another.
func isMouse(mode int) bool { return mode == 9 || mode >= 1000 && mode <= 1003 }

// setPrivate sets or resets a private mode.
func (s *Screen) setPrivate(mode int, on bool) {
	switch {
	case mode == modeOrigin:
		s.origin = on
		s.moveTo(0, 0)
	case mode == modeAutowrap:
		s.autowrap = on
		s.wrap = s.wrap && on
	case mode == modeCursor:
		s.hideCursor = !on
	case mode == 47, mode == 1047, mode == 1049:
		s.switchTo(mode, on)
	case mode == 1048:
		if on {
			s.save()
		} else {
			s.restore()
		}
	case isMouse(mode):
		s.mouse = 0
		if on {
			s.mouse = mode
		}
	default:
		for i := range keptModes {
			if keptModes[i].number == mode {
				s.modes[i] = on
			}
		}
	}
}

// switchTo enters or leaves the alternate screen.
func (s *Screen) switchTo(mode int, on bool) {
	if on == s.isAlternate() {
		if !on && mode == 1049 {
			s.restore()
		}
		return
	}
	if on {
		if mode == 1049 {
			s.save()
		}
		s.current, s.enteredBy = &s.alternate, mode
		if mode == 1049 {
			s.eraseRows(0, s.rows)
		}
		return
	}
	if mode == 1047 {
		s.eraseRows(0, s.rows)
	}
	s.current = &s.primary
	if mode == 1049 {
		s.restore()
	}
}

// setANSI sets or resets a mode of ECMA-48.
func (s *Screen) setANSI(mode int, on bool) {
	switch mode {
	case 4:
		s.insert = on
	case 20:
		s.newline = on
	}
}
