package client

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
)

// The first byte of frames that a client sends, with FIN set: unfragmented messages and control
// frames (RFC 6455 §5.2).
const (
	frameText  = 0x80 | 0x1
	framePing  = 0x80 | 0x9
	framePong  = 0x80 | 0xA
	opcodeBits = 0x0F
	opClose    = 0x8
	opPong     = 0xA
)

const (
	// maxHeader is the length of the longest header: two bytes, an eight-byte length, and a
	// four-byte masking key.
	maxHeader = 14
	maskSize  = 4
	masked    = 0x80
)

// frame returns a frame that begins with the byte first. The payload is in buf, after maxHeader
// unused bytes. Frame masks it in place (RFC 6455 §5.3) and puts the header before it, so the frame
// is a part of buf.
func frame(first byte, buf []byte) []byte {
	payload := buf[maxHeader:]
	key := buf[maxHeader-maskSize : maxHeader]
	_, _ = rand.Read(key) // never fails
	mask(payload, key)
	n, start := len(payload), 0
	switch {
	case n < 126:
		start = maxHeader - maskSize - 2
		buf[start+1] = masked | byte(n)
	case n <= 0xFFFF:
		start = maxHeader - maskSize - 4
		buf[start+1] = masked | 126
		binary.BigEndian.PutUint16(buf[start+2:], uint16(n))
	default:
		buf[start+1] = masked | 127
		binary.BigEndian.PutUint64(buf[start+2:], uint64(n))
	}
	buf[start] = first
	return buf[start:]
}

// frameAgain returns the frame in buf, which frame has made, with another masking key (RFC 6455
// §5.3 requires a new one for each frame).
func frameAgain(first byte, buf []byte) []byte {
	mask(buf[maxHeader:], buf[maxHeader-maskSize:maxHeader])
	return frame(first, buf)
}

// mask masks b with the key, a block at a time.
func mask(b, key []byte) {
	var block [1 << 10]byte // a multiple of the key's length
	pad := block[:min(len(b), len(block))]
	for n := copy(pad, key); n < len(pad); n *= 2 {
		copy(pad[n:], pad[:n])
	}
	for len(b) > 0 {
		n := subtle.XORBytes(b, b, pad)
		b = b[n:]
	}
}

// controlFrame returns a control frame without a payload.
func controlFrame(first byte) []byte { return frame(first, make([]byte, maxHeader)) }
