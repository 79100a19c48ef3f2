package stream

// captureHead keeps the oldest bytes of one kind of output, at most bound bytes.
type captureHead struct {
	bound     int64
	data      []byte
	truncated bool // data contains a truncated line
}

// minHead is how many bytes a captureHead may hold even if the budget is exceeded.
const minHead = 4 << 10

// freeze stops the growth beyond minHead. Growth cannot resume later, because bytes would be
// missing in between.
func (h *captureHead) freeze() { h.bound = min(h.bound, max(minHead, int64(len(h.data)))) }

// add appends as much as the bound allows. It returns by how many bytes the memory has grown.
func (h *captureHead) add(data []byte, marker string, truncated bool) (grown int64) {
	room := h.bound - int64(len(h.data))
	if room <= 0 {
		return 0
	}
	h.truncated = h.truncated || truncated
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
