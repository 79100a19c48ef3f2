package server

import "encoding/binary"

// The opcodes with FIN set: each message of the server is one frame.
const (
	frameText  = finBit | opText
	frameClose = finBit | opClose
	framePing  = finBit | opPing
	framePong  = finBit | opPong
)

// maxHeader is the longest header of a frame that is not masked.
const maxHeader = 10

// headerSize returns the size of the header of a frame with n bytes of payload, in the shortest
// form (RFC 6455 §5.2).
func headerSize(n int) int {
	switch {
	case n < length16:
		return 2
	case n <= 0xffff:
		return 4
	default:
		return maxHeader
	}
}

func putHeader(b []byte, opcode byte, n int) {
	b[0] = opcode
	switch headerSize(n) {
	case 2:
		b[1] = byte(n)
	case 4:
		b[1] = length16
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b[1] = length64
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
}

// appendFrame appends a frame whose payload is appended by fill. guess is the estimated length of
// the payload, which has to be moved only if the header of that length has another size.
func appendFrame(dst []byte, opcode byte, guess int, fill func([]byte) []byte) []byte {
	begin := len(dst)
	header := headerSize(guess)
	var none [maxHeader]byte
	dst = fill(append(dst, none[:header]...))
	n := len(dst) - begin - header
	if need := headerSize(n); need != header {
		if need > header {
			dst = append(dst, none[:need-header]...)
		}
		copy(dst[begin+need:], dst[begin+header:begin+header+n])
		dst = dst[:begin+need+n]
	}
	putHeader(dst[begin:], opcode, n)
	return dst
}

// frame returns payload as a frame of its own.
func frame(opcode byte, payload []byte) []byte {
	h := headerSize(len(payload))
	b := make([]byte, h+len(payload))
	putHeader(b, opcode, len(payload))
	copy(b[h:], payload)
	return b
}

// closeFrame returns a close frame with code and reason (RFC 6455 §5.5.1).
func closeFrame(code uint16, reason string) []byte {
	return frame(frameClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}
