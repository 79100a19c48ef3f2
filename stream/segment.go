package stream

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// minPooledBits is the binary logarithm of minPooled, the size in bytes from which on segments
	// are reused.
	minPooledBits = 11
	minPooled     = 1 << minPooledBits
	// maxPieceBits is the binary logarithm of MaxPiece.
	maxPieceBits = 16
)

// segment is memory for output, of several entries of a log or of one read of a [Reader]. It is
// reused as soon as the last reference is released: output would otherwise become garbage as fast
// as it is read, and the collector would run hundreds of times per second. Each entry with bytes in
// it has a reference, the log has one to the segment that it fills, a reader to its buffer, and a
// cursor to the segment of the item that it returned last.
type segment struct {
	data []byte // what is used; the capacity is the size
	refs atomic.Int32
}

// pools has the unused segments by the class of their size.
var pools [4*(maxPieceBits-minPooledBits) + 1]sync.Pool

// newSegment returns an empty segment for n bytes, at most MaxPiece, with one reference.
func newSegment(n int) *segment {
	var s *segment
	if n < minPooled {
		s = &segment{data: slices.Grow([]byte(nil), n)} // uses all bytes of the size class of the allocator
	} else {
		class, size := segmentClass(n)
		if unused := pools[class].Get(); unused != nil {
			s = unused.(*segment)
		} else {
			s = &segment{data: make([]byte, 0, size)}
		}
	}
	s.refs.Store(1)
	return s
}

// segmentClass returns the class and the size of segments for n bytes, minPooled to MaxPiece. There
// are four sizes from a power of two to the next, so less than a fifth of a segment is unused.
func segmentClass(n int) (class, size int) {
	if n == minPooled {
		return 0, minPooled
	}
	power := bits.Len(uint(n-1)) - 1 // n is above 1<<power
	quarter := 1 << (power - 2)
	quarters := (n - 1<<power + quarter - 1) / quarter
	return 4*(power-minPooledBits) + quarters, 1<<power + quarters*quarter
}

// room reports whether n more bytes fit.
func (s *segment) room(n int) bool { return s != nil && len(s.data)+n <= cap(s.data) }

// append appends data and marker, which must fit, and returns their copy. The bytes of a segment
// are written once, so cursors read them without the lock of the log.
func (s *segment) append(data []byte, marker string) []byte {
	begin := len(s.data)
	s.data = append(append(s.data, data...), marker...)
	return s.data[begin:len(s.data):len(s.data)]
}

// retain adds a reference. The caller must have one, or the lock of a log that has one.
func (s *segment) retain() *segment {
	s.refs.Add(1)
	return s
}

// release ends a reference of the caller. Its slices of the segment are then invalid. A nil segment
// has no references.
func (s *segment) release() {
	if s == nil || s.refs.Add(-1) > 0 {
		return
	}
	released(s)
	s.data = s.data[:0]
	if size := cap(s.data); size >= minPooled {
		class, _ := segmentClass(size)
		pools[class].Put(s)
	}
}

// released is called with each segment that is reused or garbage from then on. Tests replace it.
var released = func(*segment) {}
