package window

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/stream"
)

// FuzzBlock parses a block. The checksums of the header and of the first entries are made correct.
func FuzzBlock(f *testing.F) {
	b := appendHeader(nil, header{7, 1, stream.Mark{Seq: 5, Events: 2}})
	b = appendEntry(b, seed(b), &stream.Item{}, []byte("event"))
	b = appendEntry(b, seed(b), &stream.Item{Kind: stream.Stderr, Data: []byte("x"), Dropped: 3}, []byte("x"))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerBytes {
			return
		}
		b = slices.Clone(b)
		copy(b, magic[:])
		b[4] = version
		binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
		h, ok := parseHeader(b)
		if !ok {
			return
		}
		for at := headerBytes; at+checksumBytes+8 <= len(b); {
			n := int(min(uint64(binary.LittleEndian.Uint32(b[at+8:]))+8, uint64(len(b)-at-checksumBytes)))
			if b[at+5]&2 != 0 {
				n = min(n+8, len(b)-at-checksumBytes)
			}
			binary.LittleEndian.PutUint32(b[at:], crc32.Update(seed(b), castagnoli, b[at+checksumBytes:][:n]))
			at += checksumBytes + n
		}
		at, events := h.first.Seq, h.first.Events
		end := h.entries(b, func(it stream.Item, data []byte) {
			if it.From != at || it.To < at {
				t.Fatalf("item %d to %d at %d", it.From, it.To, at)
			}
			if at = it.To; it.Kind == stream.Event {
				events++
			}
		})
		if end != (stream.Mark{Seq: at, Events: events}) {
			t.Fatalf("end %v instead of %d %d", end, at, events)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want int
	}{
		{"abcdef", 4, 4},
		{"ab\ncdef", 4, 3},
		{"\nabcdef", 5, 5}, // the line is too short: the block would stay empty
		{"abcé", 4, 3},
		{"abcé", 5, 5},
		{"ab€x", 4, 2},
		{"ab€x", 5, 5},
		{"a🙂x", 4, 1},
		{"a🙂x", 5, 5},
		{"ab\x80\x80\x80\x80\x80", 5, 5},
		{"ab\xff\xff", 3, 3},
	} {
		if got := cut([]byte(c.text), c.n); got != c.want {
			t.Errorf("%q at %d: %d instead of %d", c.text, c.n, got, c.want)
		} else if utf8.ValidString(c.text) && !utf8.ValidString(c.text[:got]) {
			t.Errorf("%q at %d: a character is cut", c.text, c.n)
		}
	}
}
