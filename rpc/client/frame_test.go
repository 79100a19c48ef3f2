package client

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestFrame checks frames against RFC 6455 §5.2, for all forms of the length.
func TestFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 1023, 1024, 1025, 65535, 65536, 200_000} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		f := frame(frameText, append(make([]byte, maxHeader), payload...))
		if f[0] != 0x81 || f[1]&0x80 == 0 {
			t.Fatalf("%d: header % x", size, f[:2])
		}
		n, rest := int(f[1]&0x7F), f[2:]
		switch n {
		case 126:
			n, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
		case 127:
			n, rest = int(binary.BigEndian.Uint64(rest)), rest[8:]
		}
		if n != size || len(rest) != size+4 {
			t.Fatalf("%d: length %d, %d bytes", size, n, len(rest))
		}
		key, got := rest[:4], bytes.Clone(rest[4:])
		for i := range got {
			got[i] ^= key[i%4]
		}
		if !bytes.Equal(got, payload) {
			t.Errorf("%d: the unmasked payload is not the original", size)
		}
	}
}
