package stream

// tail is the newest bytes of one stream that have left a log, at most its bound of them.
type tail struct {
	bound int64
	ring  []byte // grows up to bound
	next  int    // where the oldest byte is, once ring is full
	cut   bool   // a truncated line was among what left
}

// add puts b behind what is there; the oldest bytes make room. It returns by how much the tail has grown.
func (t *tail) add(b []byte, truncated bool) (grown int64) {
	t.cut = t.cut || truncated
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

// last is a copy of the newest n bytes, or of all where there are fewer.
func (t *tail) last(n int64) []byte {
	all := append(append([]byte(nil), t.ring[t.next:]...), t.ring[:t.next]...)
	return all[max(0, int64(len(all))-n):]
}
