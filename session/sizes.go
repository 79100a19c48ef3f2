package session

import (
	"slices"
	"time"
)

// maxSizes is how many sizes of a terminal a session remembers: the newest ones.
const maxSizes = 256

// Size is the size of a session's terminal in characters, from a time and a position of the log on.
type Size struct {
	Time       time.Time
	Seq        int64
	Rows, Cols int
}

// Sizes returns the sizes that the session's terminal has had, oldest first: that of the start, and one for
// each Resize that changed it, at most maxSizes of them. What the command itself changes is not known. Sizes
// is empty without a terminal, and before the start.
func (s *Session) Sizes() []Size {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.status.sizes)
}

// addSize records a size, if it differs from the newest one.
func (s *Session) addSize(st *sessionStatus, rows, cols int) {
	if n := len(st.sizes); n > 0 && st.sizes[n-1].Rows == rows && st.sizes[n-1].Cols == cols {
		return
	}
	if len(st.sizes) == maxSizes {
		st.sizes = slices.Delete(st.sizes, 0, 1)
	}
	next, _ := s.log.Next()
	st.sizes = append(st.sizes, Size{time.Now(), next - 1, rows, cols})
}
