package client

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
)

// The first bytes of the frames that a client sends: whole messages and control frames (RFC 6455 §5.2).
const (
	frameText  = 0x80 | 0x1
	framePing  = 0x80 | 0x9
	framePong  = 0x80 | 0xA
	opcodeBits = 0x0F
	opClose    = 0x8
	opPong     = 0xA
)

const (
	// headRoom is the longest header of a frame: two bytes, a length of eight and a key of four.
	headRoom = 14
	maskSize = 4
	masked   = 0x80
)

// frame makes a frame of buf, whose first headRoom bytes are free and whose rest is the payload. It masks the payload
// in place (RFC 6455 §5.3) and returns the frame, which lies in buf.
func frame(first byte, buf []byte) []byte {
	payload := buf[headRoom:]
	key := buf[headRoom-maskSize : headRoom]
	_, _ = rand.Read(key) // never fails
	mask(payload, key)
	n, start := len(payload), 0
	switch {
	case n < 126:
		start = headRoom - maskSize - 2
		buf[start+1] = masked | byte(n)
	case n <= 0xFFFF:
		start = headRoom - maskSize - 4
		buf[start+1] = masked | 126
		binary.BigEndian.PutUint16(buf[start+2:], uint16(n))
	default:
		buf[start+1] = masked | 127
		binary.BigEndian.PutUint64(buf[start+2:], uint64(n))
	}
	buf[start] = first
	return buf[start:]
}

// mask applies the key to b, a block at a time.
func mask(b, key []byte) {
	var block [1 << 10]byte // its length is a multiple of the key's
	pad := block[:min(len(b), len(block))]
	for n := copy(pad, key); n < len(pad); n *= 2 {
		copy(pad[n:], pad[:n])
	}
	for len(b) > 0 {
		n := subtle.XORBytes(b, b, pad)
		b = b[n:]
	}
}

// controlFrame is one without a payload.
func controlFrame(first byte) []byte { return frame(first, make([]byte, headRoom)) }
