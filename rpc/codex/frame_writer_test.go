package codex

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"
)

// recordedWrites is a connection that keeps what each Write had.
type recordedWrites struct {
	net.Conn
	all [][]byte
}

func (r *recordedWrites) Write(b []byte) (int, error) {
	r.all = append(r.all, bytes.Clone(b))
	return len(b), nil
}

// serverFrame is a frame with a payload of so many bytes.
func serverFrame(size int) []byte {
	b := []byte{0x81}
	switch {
	case size < 126:
		b = append(b, byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
	}
	for range size {
		b = append(b, byte(rand.IntN(256)))
	}
	return b
}

// TestFrameWriter checks that frames are written as they are, and those that fit into a buffer at once.
func TestFrameWriter(t *testing.T) {
	t.Parallel()
	conn := &recordedWrites{}
	w := bufio.NewWriter(&frameWriter{conn: conn})
	var sizes []int
	for _, size := range []int{0, 1, 125, 126, 4000, 4091, 4092, 4093, 4094, 8188, 65535, 65536, 90000, maxReused - 10} {
		sizes = append(sizes, size, 10, size)
	}
	for _, size := range append(sizes, maxReused, maxReused*3, 5, 90000) {
		frame, before := serverFrame(size), len(conn.all)
		head := len(frame) - size
		_, _ = w.Write(frame[:head]) // as websocket.Conn does
		_, _ = w.Write(frame[head:])
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if written := conn.all[before:]; !bytes.Equal(bytes.Join(written, nil), frame) {
			t.Fatalf("%d bytes were not written as they are", size)
		} else if len(written) != 1 && len(frame) <= maxReused {
			t.Errorf("%d bytes were written in %d parts", size, len(written))
		}
	}
}
