package codex

import "sync"

const (
	// minReused is the smallest buffer in bytes of a frame that is used again: others cost less to make.
	minReused = 16 << 10
	// maxReused is the largest one. Output that is read from the disk again may need more.
	maxReused = 256 << 10
)

// frameBuffers has the buffers of frames that were written: with a new one for each frame the garbage
// collector runs every few MB of output.
var frameBuffers sync.Pool

// frameBuffer returns a buffer of at least so many bytes.
func frameBuffer(size int) []byte {
	if size < minReused {
		return make([]byte, 0, size)
	}
	if b, ok := frameBuffers.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
}

// reuseFrame takes back the buffer of a frame, which nothing uses any more.
func reuseFrame(b []byte) {
	if cap(b) >= minReused && cap(b) <= maxReused {
		frameBuffers.Put(&b)
	}
}
