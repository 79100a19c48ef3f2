package stream

// entry is output of one kind, or one event. Its bytes do not change. While it is the newest entry,
// bytes may be added to its end.
type entry struct {
	at        position // of its beginning
	kind      Kind
	truncated bool
	sealed    bool // nothing may be added
	dropped   int64
	data      []byte
	segment   *segment // the entry's reference to what contains data
	event     any
}

func (e *entry) size() int64 {
	if e.kind == Event {
		return 1
	}
	return int64(len(e.data))
}

func (e *entry) end() position {
	p := position{e.at.seq + e.size(), e.at.events, e.at.charge + entryOverhead + int64(len(e.data))}
	if e.kind == Event {
		p.events++
	}
	return p
}

// inside returns the position of seq, which is inside the entry.
func (e *entry) inside(seq int64) position {
	return position{seq, e.at.events, e.at.charge + entryOverhead + seq - e.at.seq}
}

const (
	minRing = 4
	// Up to doubledRing entries a full ring is doubled, then it grows by a quarter, so that little
	// of the memory of a large one is unused.
	doubledRing = 256
)

// entryRing is the queue of the entries of a log, in a ring buffer: a log that evicts an entry for
// each that it appends allocates nothing.
type entryRing struct {
	ring  []entry
	first int // index of the oldest
	n     int
}

func (q *entryRing) len() int { return q.n }

// at returns an entry by its age; 0 is the oldest. The pointer is valid until the next push or pop.
func (q *entryRing) at(i int) *entry {
	if i += q.first; i >= len(q.ring) {
		i -= len(q.ring)
	}
	return &q.ring[i]
}

// newest returns the newest entry, or nil.
func (q *entryRing) newest() *entry {
	if q.n == 0 {
		return nil
	}
	return q.at(q.n - 1)
}

func (q *entryRing) push(e entry) {
	if size := len(q.ring); q.n == size {
		switch {
		case size < doubledRing:
			q.resize(max(2*size, minRing))
		default:
			q.resize(size + size/4)
		}
	}
	q.n++
	*q.newest() = e
}

// pop removes the oldest entry. It gives memory back if most of the ring is unused.
func (q *entryRing) pop() {
	*q.at(0) = entry{}
	q.n--
	if q.first++; q.first == len(q.ring) {
		q.first = 0
	}
	if size := len(q.ring); size > doubledRing && q.n < size/4 {
		q.resize(size / 2)
	}
}

func (q *entryRing) resize(size int) {
	ring := make([]entry, size)
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.first = ring, 0
}
