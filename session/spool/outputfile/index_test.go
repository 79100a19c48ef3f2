package outputfile

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
	"unsafe"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

func TestEntrySize(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n > 24 {
		t.Errorf("%d bytes", n)
	}
}

// FuzzIndex parses an index. The checksums are made correct, so that the content is parsed.
func FuzzIndex(f *testing.F) {
	x := index{entries: []entry{{0, 0, 0}, {100, 1, 1}, {200, 1, 7}}, end: stream.Mark{Seq: 300, Events: 5}, pages: 9}
	f.Add(x.encode(1, false)[:72], x.encode(1, false)[4096-64:])
	f.Add([]byte{}, (&index{}).encode(1, true)[4096-64:])
	f.Fuzz(func(t *testing.T, entries, foot []byte) {
		if len(foot) != footerBytes {
			return
		}
		foot = slices.Clone(foot)
		binary.LittleEndian.PutUint32(foot[48:], crc32.Checksum(entries, castagnoli))
		binary.LittleEndian.PutUint32(foot[60:], crc32.Checksum(foot[:60], castagnoli))
		size := int64(binary.LittleEndian.Uint64(foot[16:])) + disk.Align
		parsed, err := parseFooter(foot, size)
		if err != nil {
			return
		}
		x, err := parseIndex(entries, parsed)
		if err != nil {
			return
		}
		for seq := x.oldest().Seq; seq < min(x.end.Seq, x.oldest().Seq+1000); seq++ {
			if i := x.find(seq); x.entries[i].seq > seq || x.next(i).seq <= seq || x.next(i).offset() > x.bytes() {
				t.Fatalf("%d is not in block %d", seq, i)
			}
		}
	})
}
