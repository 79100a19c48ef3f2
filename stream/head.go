package stream

// head is the oldest bytes of one stream, at most its bound of them.
type head struct {
	bound int64
	data  []byte
	cut   bool // a truncated line is among them
}

// minHead is what a head may hold whatever all logs together do.
const minHead = 4 << 10

// freeze makes the head grow no more, but for minHead: it can't go on later behind a gap.
func (h *head) freeze() { h.bound = min(h.bound, max(minHead, int64(len(h.data)))) }

// add takes what there is room for. It returns by how much the head has grown in memory.
func (h *head) add(data []byte, marker string, truncated bool) (grown int64) {
	room := h.bound - int64(len(h.data))
	if room <= 0 {
		return 0
	}
	h.cut = h.cut || truncated
	data = data[:min(int64(len(data)), room)]
	marker = marker[:min(int64(len(marker)), room-int64(len(data)))]
	if need := len(h.data) + len(data) + len(marker); need > cap(h.data) {
		size := min(max(need, 2*cap(h.data), minHead), int(h.bound))
		grown = int64(size - cap(h.data))
		h.data = append(make([]byte, 0, size), h.data...)
	}
	h.data = append(append(h.data, data...), marker...)
	return grown
}
