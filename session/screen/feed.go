package screen

import "bytes"

// Size is the size of a terminal from a position of the log on.
type Size struct {
	Seq        int64
	Rows, Cols int
}

// Feed collects the output from which a screen is computed. The zero value is ready for use.
type Feed struct {
	middle bool
	bytes  []byte
	parts  []part
}

// part is output that follows a position.
type part struct {
	after int64
	n     int
}

// Middle says that output before this position is not known: what was added is forgotten.
func (f *Feed) Middle() { f.middle, f.bytes, f.parts = true, f.bytes[:0], f.parts[:0] }

// Add adds output that follows a position.
func (f *Feed) Add(after int64, output []byte) {
	f.bytes = append(f.bytes, output...)
	if n := len(f.parts) - 1; n >= 0 && f.parts[n].after+int64(f.parts[n].n) == after {
		f.parts[n].n += len(output)
		return
	}
	f.parts = append(f.parts, part{after, len(output)})
}

// Screen computes the screen from the output and the sizes that the terminal had, oldest first, of which
// there is at least one. Errors: a *TooLargeError, ErrTooMuchWork.
func (f *Feed) Screen(sizes []Size) (*Screen, error) {
	if last := sizes[len(sizes)-1]; CheckSize(last.Rows, last.Cols) != nil {
		return nil, CheckSize(last.Rows, last.Cols)
	}
	s, err := New(1, 1)
	if err != nil {
		return nil, err
	}
	s.Resize(sizes[0].Rows, sizes[0].Cols)
	skip := 0
	if f.middle {
		skip = beginning(f.bytes)
		if startsInAlternate(f.bytes[skip:]) {
			s.setPrivate(1049, true)
		}
	}
	rest := f.bytes
	for _, p := range f.parts {
		output, after := rest[:p.n], p.after
		rest = rest[p.n:]
		cut := min(skip, p.n)
		output, after, skip = output[cut:], after+int64(cut), skip-cut
		for len(output) > 0 {
			n := len(output)
			for len(sizes) > 1 && sizes[1].Seq <= after {
				s.Resize(sizes[1].Rows, sizes[1].Cols)
				sizes = sizes[1:]
			}
			if len(sizes) > 1 {
				n = int(min(int64(n), sizes[1].Seq-after))
			}
			if _, err := s.Write(output[:n]); err != nil {
				return nil, err
			}
			output, after = output[n:], after+int64(n)
		}
	}
	for _, size := range sizes[1:] {
		s.Resize(size.Rows, size.Cols)
	}
	return s, nil
}

// beginning returns where to begin with output that begins in the middle of something: after a line, or
// before a sequence, so that the end of a partial one is not taken for text.
func beginning(b []byte) int {
	head := b[:min(len(b), maxPartial)]
	if i := bytes.IndexAny(head, "\x1b\r\n\a"); i >= 0 {
		if head[i] != esc {
			i++
		}
		return i
	}
	i := 0
	for i < len(head) && i < 3 && head[i]&0xc0 == 0x80 {
		i++
	}
	return i
}

// startsInAlternate reports whether the alternate screen is left before it is entered.
func startsInAlternate(b []byte) bool {
	enters, leaves := len(b), len(b)
	for _, mode := range []string{"1049", "1047", "47"} {
		if i := bytes.Index(b, []byte("\x1b[?"+mode+"h")); i >= 0 {
			enters = min(enters, i)
		}
		if i := bytes.Index(b, []byte("\x1b[?"+mode+"l")); i >= 0 {
			leaves = min(leaves, i)
		}
	}
	return leaves < enters
}
