package server

import "time"

// flushTimer calls a function that flushes a table, at intervals while the table is not empty. The lock
// of the table protects it.
type flushTimer struct {
	flush  func() // takes that lock, and calls flushed
	pause  time.Duration
	timer  *time.Timer // nil while the table is empty
	closed bool
}

// added is called when the table has a new element.
func (f *flushTimer) added() {
	if f.timer == nil && !f.closed {
		f.timer = time.AfterFunc(f.pause, f.flush)
	}
}

// flushed is called at the end of each flush, with how many elements are left.
func (f *flushTimer) flushed(left int) {
	switch {
	case f.closed:
	case left == 0:
		f.timer = nil
	default:
		f.timer.Reset(f.pause)
	}
}

// close stops the timer. No other is started afterwards. The caller then flushes the table once more,
// without the lock.
func (f *flushTimer) close() {
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
}
