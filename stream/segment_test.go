package stream

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// init overwrites each segment that is released, so that any later use of its bytes is seen.
func init() {
	poison := bytes.Repeat([]byte{0xdb}, MaxPiece)
	released = func(s *segment) { copy(s.data[:cap(s.data)], poison) }
}

// repeated is a source of the same text again and again, in reads of random size.
type repeated struct {
	text string
	left int // bytes
	at   int // in text
	rnd  *rand.Rand
}

func (s *repeated) SetReadDeadline(time.Time) error { return nil }

func (s *repeated) TryRead(func() []byte) (int, error) { return 0, io.EOF }

func (s *repeated) ReadNow(lend func() []byte) (n int, err error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	b := lend()
	if s.rnd.IntN(2) == 0 {
		b = b[:1+s.rnd.IntN(len(b))]
	}
	for n < len(b) {
		n += copy(b[n:], s.text[(s.at+n)%len(s.text):])
	}
	s.at = (s.at + n) % len(s.text)
	s.left -= n
	return n, nil
}

func TestSegmentsHaveFewSizes(t *testing.T) {
	sizes := make(map[int]int) // classes by size
	for n := minPooled; n <= MaxPiece; n++ {
		class, size := segmentClass(n)
		if same, _ := segmentClass(size); size < n || size-n > size/5 || same != class {
			t.Fatalf("%d bytes: class %d, size %d, whose class is %d", n, class, size, same)
		}
		if old, ok := sizes[size]; ok && old != class {
			t.Fatalf("the size %d has the classes %d and %d", size, old, class)
		}
		sizes[size] = class
		if s := newSegment(n); cap(s.data) != size || len(s.data) != 0 {
			t.Fatalf("%d bytes: a segment of %d with %d", n, cap(s.data), len(s.data))
		} else {
			s.release()
		}
	}
	if len(sizes) != len(pools) {
		t.Errorf("%d sizes, %d pools", len(sizes), len(pools))
	}
}

// TestStreamingAllocatesNothing streams 64 MiB through a log, and counts what is allocated.
func TestStreamingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops values under the race detector")
	}
	const size = 64 << 20
	for _, test := range []struct {
		name string
		o    ReaderOptions
		line int
	}{
		{"lines", ReaderOptions{}, 100},
		{"long lines", ReaderOptions{}, 30000},
		{"truncated lines", ReaderOptions{MaxLine: 1000}, 5000},
		{"split lines", ReaderOptions{MaxLine: 1000, Split: true}, 5000},
		{"raw", ReaderOptions{Raw: true}, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := NewLog(LogOptions{Bound: 1 << 20})
			c := l.NewCursor(CursorOptions{})
			stream := func(size int) {
				test.o.Kind = Stdout
				test.o.OnRead = func() {
					for {
						if _, ok := c.Next(); !ok {
							return
						}
					}
				}
				line := strings.Repeat("x", test.line-1) + "\n"
				src := &repeated{text: strings.Repeat(line, MaxPiece/len(line)+1), left: size, rnd: rand.New(rand.NewPCG(1, 2))}
				if err := NewReader(src, l, test.o).Run(); err != nil {
					t.Fatal(err)
				}
			}
			stream(size) // the pools fill
			before := allocated()
			stream(size)
			if n := allocated() - before; n > size/100 {
				t.Errorf("%d bytes allocated", n)
			}
		})
	}
}

// TestLargeReadsAreComplete reads lines of random length in reads of random size, with a cursor
// that follows, and compares what it returns with what was read.
func TestLargeReadsAreComplete(t *testing.T) {
	const size = 4 << 20
	for _, o := range []ReaderOptions{{}, {Raw: true}, {MaxLine: 3000, Split: true}, {MaxLine: MaxPiece + 100, Split: true}} {
		for _, longest := range []int{10, 5000, 50000, 200000} {
			rnd := rand.New(rand.NewPCG(3, uint64(longest)))
			var text []byte
			for len(text) < size {
				text = append(append(text, written(Stdout, len(text), rnd.IntN(longest))...), '\n')
			}
			l := NewLog(LogOptions{Bound: 128 << 10})
			c := l.NewCursor(CursorOptions{Block: true})
			var got []byte
			follow := func() {
				for it, ok := c.Next(); ok; it, ok = c.Next() {
					got = append(got, it.Data...)
				}
			}
			o.Kind, o.OnRead = Stdout, follow
			src := &repeated{text: string(text), left: len(text), rnd: rnd}
			if err := NewReader(src, l, o).Run(); err != nil {
				t.Fatal(err)
			}
			follow()
			want := append(text, text[:len(got)-len(text)]...) // the last read may exceed it
			if !bytes.Equal(got, want) {
				t.Errorf("%+v, lines up to %d: %d bytes differ from what was read", o, longest, len(got))
			}
		}
	}
}

// allocated returns how many bytes this process has allocated since its start.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// TestTheLogKeepsTheBufferOfALargeRead checks that it is not copied, and that it is reused when the
// log has evicted it.
func TestTheLogKeepsTheBufferOfALargeRead(t *testing.T) {
	l := NewLog(LogOptions{Bound: MaxPiece})
	r := NewReader(&script{}, l, ReaderOptions{Kind: Stdout})
	text := strings.Repeat("x", MaxPiece-10) + "\n"
	buf := r.lend()
	r.process(copy(buf, text+"rest"))
	if string(r.bytes(r.buffered)) != "rest" || &r.lend()[0] == &buf[4] {
		t.Errorf("%q is buffered, not in another buffer", r.bytes(r.buffered))
	}
	c := l.NewCursor(CursorOptions{})
	it, ok := c.Next()
	if !ok || &it.Data[0] != &buf[0] || string(it.Data) != text {
		t.Errorf("the item is a copy of %d bytes", len(it.Data))
	}
	for range 2 {
		l.Append(Piece{Kind: Stderr, Data: make([]byte, MaxPiece)})
	}
	if oldest, _ := l.Bounds(); oldest < int64(len(text)) || string(it.Data) != text {
		t.Errorf("evicted up to %d, the item has changed: %v", oldest, string(it.Data) != text)
	}
	c.Release()
	if it.Data[0] == 'x' {
		t.Error("the buffer is still in use")
	}
}

// TestAClosedCursorKeepsItsItem checks that a concurrent Close does not invalidate the item.
func TestAClosedCursorKeepsItsItem(t *testing.T) {
	l := NewLog(LogOptions{Bound: 100})
	text := strings.Repeat("x", maxSegment)
	put(l, Stdout, text)
	c := l.NewCursor(CursorOptions{})
	it, _ := c.Next()
	c.Close()
	for range 3 {
		put(l, Stderr, strings.Repeat("y", maxSegment))
	}
	if oldest, _ := l.Bounds(); oldest < maxSegment || string(it.Data) != text {
		t.Errorf("evicted up to %d, the item is %.10q", oldest, it.Data)
	}
	if _, ok := c.Next(); ok || it.Data[0] == 'x' {
		t.Errorf("Next of a closed cursor returned %v, and the segment of %.10q is still in use", ok, it.Data)
	}
}

// TestASlowCursorKeepsOneSegment checks that a cursor that is never read again keeps no more than
// the item that it has returned.
func TestASlowCursorKeepsOneSegment(t *testing.T) {
	var free int
	old := released
	released = func(s *segment) { free += cap(s.data) }
	defer func() { released = old }()
	l := NewLog(LogOptions{Bound: 1 << 20})
	var items []Item
	const cursors = 3
	for range cursors {
		l.Append(Piece{Kind: Stdout, Data: make([]byte, MaxPiece)})
		c := l.NewCursor(CursorOptions{})
		it, _ := c.Next()
		items = append(items, it)
	}
	for range 100 {
		l.Append(Piece{Kind: Stdout, Data: bytes.Repeat([]byte("x"), MaxPiece)})
	}
	kept := l.end.charge - l.oldest.charge + MaxPiece // the segment of all three items is that of the first entry
	if used := (100 + cursors) * MaxPiece; used-free > int(kept) {
		t.Errorf("%d bytes are in use, %d are charged", used-free, kept)
	}
	runtime.KeepAlive(items)
}

func TestEvictReleasesTheSegments(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	for range 10 {
		put(l, Stdout, strings.Repeat("x", maxShared))
	}
	event(l, "record")
	var free int
	old := released
	released = func(s *segment) { free += len(s.data) }
	defer func() { released = old }()
	if !l.Evict() || free != 10*maxShared {
		t.Errorf("%d bytes of %d are free", free, 10*maxShared)
	}
	if !l.Evict() {
		t.Error("Evict a second time")
	}
}
