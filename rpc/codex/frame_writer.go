package codex

import (
	"encoding/binary"
	"net"
)

// frameWriter writes the frames of a websocket.Conn, each at once. The buffer of a websocket.Conn is smaller
// than a frame with output: it writes the beginning of the frame first, for which the client wakes up. One
// goroutine writes at a time.
type frameWriter struct {
	conn  net.Conn
	left  uint64 // bytes of the current frame that are not written yet
	frame []byte // what is there of a frame that is to be written at once, or nil
}

// Write writes b, or keeps a copy of it until the frame that it belongs to is complete.
func (w *frameWriter) Write(b []byte) (int, error) {
	if w.left == 0 {
		if w.left = frameSize(b); w.left > uint64(len(b)) && w.left <= maxReused {
			w.frame = frameBuffer(int(w.left))
		}
	}
	w.left -= min(w.left, uint64(len(b)))
	if w.frame == nil {
		return w.conn.Write(b)
	}
	w.frame = append(w.frame, b...)
	if w.left > 0 {
		return len(b), nil
	}
	frame := w.frame
	w.frame = nil
	if _, err := w.conn.Write(frame); err != nil {
		return 0, err
	}
	reuseFrame(frame)
	return len(b), nil
}

// frameSize returns the size in bytes of a frame of a server that begins with b, with its header (RFC 6455
// §5.2). It is 0 if b does not have the length.
func frameSize(b []byte) uint64 {
	if len(b) < 2 {
		return 0
	}
	const len16, len64 = 126, 127
	switch n := b[1] & 0x7f; {
	case n == len16 && len(b) >= 4:
		return 4 + uint64(binary.BigEndian.Uint16(b[2:]))
	case n == len64 && len(b) >= 10:
		return 10 + binary.BigEndian.Uint64(b[2:])
	case n < len16:
		return 2 + uint64(n)
	}
	return 0
}
