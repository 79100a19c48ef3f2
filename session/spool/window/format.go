package window

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/stream"
)

const (
	headerBytes   = 48
	checksumBytes = 4 // before each entry
	version       = 1

	// MaxEvent is the length in bytes of the largest encoded event.
	MaxEvent = BlockBytes - headerBytes - checksumBytes - block.MaxOverhead
)

var (
	magic      = [4]byte{'R', 'N', 'L', 'W'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// header is the beginning of a block.
type header struct {
	generation uint64 // differs for each use of the block, and is part of the checksums in it
	key        int64
	first      stream.Mark
}

func appendHeader(b []byte, h header) []byte {
	le, start := binary.LittleEndian, len(b)
	b = append(append(b, magic[:]...), version, 0, 0, 0)
	b = le.AppendUint64(b, h.generation)
	b = le.AppendUint64(b, uint64(h.key))
	b = le.AppendUint64(b, uint64(h.first.Seq))
	b = le.AppendUint64(b, uint64(h.first.Events))
	b = append(b, 0, 0, 0, 0)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseHeader(b []byte) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerBytes || [4]byte(b) != magic || b[4] != version || le.Uint32(b[44:]) != crc32.Checksum(b[:44], castagnoli) {
		return header{}, false
	}
	h = header{
		generation: le.Uint64(b[8:]),
		key:        int64(le.Uint64(b[16:])),
		first:      stream.Mark{Seq: int64(le.Uint64(b[24:])), Events: int64(le.Uint64(b[32:]))},
	}
	return h, block.ValidMark(h.first)
}

// seed returns the checksum of the generation in a header, with which those of the entries begin. What
// an earlier use of the block has left behind the newest entry is therefore not valid.
func seed(header []byte) uint32 { return crc32.Checksum(header[8:16], castagnoli) }

// appendEntry appends the checksum and the entry of an item.
func appendEntry(b []byte, seed uint32, it *stream.Item, data []byte) []byte {
	start := len(b)
	b = block.AppendEntry(append(b, 0, 0, 0, 0), it, data)
	binary.LittleEndian.PutUint32(b[start:], crc32.Update(seed, castagnoli, b[start+checksumBytes:]))
	return b
}

// entries calls yield with the items of the block b, as far as they are valid, and returns the end. data
// is the output or the encoded event, in b.
func (h header) entries(b []byte, yield func(it stream.Item, data []byte)) (end stream.Mark) {
	end, seed := h.first, seed(b)
	for b = b[headerBytes:]; len(b) > checksumBytes; {
		it, data, next, n, err := block.ParseEntry(b[checksumBytes:], end)
		if err != nil || crc32.Update(seed, castagnoli, b[checksumBytes:checksumBytes+n]) != binary.LittleEndian.Uint32(b) {
			break
		}
		yield(it, data)
		b, end = b[checksumBytes+n:], next
	}
	return end
}

// cut returns how much of output goes into a block with room for n bytes, fewer than there are: up to
// the end of a line, else of a character.
func cut(b []byte, n int) int {
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= n/2 {
		return i + 1
	}
	for k := 1; k < utf8.UTFMax; k++ {
		if tail := b[n-k : n]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n - k
			}
			break
		}
	}
	return n
}
