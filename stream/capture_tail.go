package stream

// captureTail is a ring buffer of the newest bytes of one kind of output that were evicted from the
// log.
type captureTail struct {
	bound     int64
	ring      []byte // grows up to bound
	next      int    // index of the oldest byte, once the ring is full
	truncated bool   // a truncated line was evicted
}

// add appends b and overwrites the oldest bytes beyond bound. It returns by how many bytes the ring
// has grown.
func (t *captureTail) add(b []byte, truncated bool) (grown int64) {
	t.truncated = t.truncated || truncated
	if over := int64(len(b)) - t.bound; over > 0 {
		b = b[over:]
	}
	grow := min(len(b), int(t.bound)-len(t.ring))
	t.ring = append(t.ring, b[:grow]...)
	for b = b[grow:]; len(b) > 0; {
		n := copy(t.ring[t.next:], b)
		t.next = (t.next + n) % len(t.ring)
		b = b[n:]
	}
	return int64(grow)
}

// last returns a copy of the newest n bytes, or of all bytes if there are fewer.
func (t *captureTail) last(n int64) []byte {
	all := append(append([]byte(nil), t.ring[t.next:]...), t.ring[:t.next]...)
	return all[max(0, int64(len(all))-n):]
}
