package stream

import (
	"errors"
	"fmt"
)

// Mark is a position in a log together with the number of events before it.
type Mark struct {
	Seq    int64
	Events int64
}

// Source is storage with what a log no longer has in memory: a contiguous part of the log. Its
// methods may be called concurrently, also with the lock of a log held, so they must not block, nor
// call a log.
type Source interface {
	// Bounds returns the oldest position that can be read and the end of what can be read. They are
	// equal if that is nothing.
	Bounds() (oldest, end Mark)
	// Load begins to read entries from seq on, which was within the bounds. done is called once,
	// later, from another goroutine and without locks, unless the load was canceled before. If the
	// memory is needed elsewhere, revoked may be called after done, in the same way: whoever has
	// the part then releases it, and loads it again when that is needed.
	//
	// Errors: ErrRemoved if the oldest position has moved beyond seq, *UnreadableError, and any
	// other error if nothing from seq on can be read.
	Load(seq int64, eventsOnly bool, done func(*Loaded, error), revoked func()) Load
}

// Load is reading that a [Source] has begun.
type Load interface {
	// Cancel ends the load if that is possible. It must not block. done may still be called, and if
	// it was called, Cancel has no effect.
	Cancel()
}

// Loaded is a contiguous part of a log, which contains the position for which it was loaded. The
// items are in order and adjacent, from From to To. A part with only the events has those of that
// range. Whoever has received it does not change it.
type Loaded struct {
	From, To int64
	Items    []Item // no gaps; Event is what was appended to the log
	// Release, if not nil, is called once, when the memory is no longer needed. It must not block
	// and may be called with the lock of a log held.
	Release func()
}

// ErrRemoved means that the source no longer has the position: its bounds have moved.
var ErrRemoved = errors.New("stream: removed from the storage")

// UnreadableError means that what is before Next cannot be read.
type UnreadableError struct {
	Next int64 // 0 if nothing can be read
	Err  error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("stream: stored output before %d is unreadable: %v", e.Next, e.Err)
}

func (e *UnreadableError) Unwrap() error { return e.Err }
