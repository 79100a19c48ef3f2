package outputfile

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

// entry is where a block is. The block ends where the next one begins.
type entry struct {
	seq, events int64
	page        uint32 // offset in the file, in units of disk.Align
}

func (e entry) mark() stream.Mark { return stream.Mark{Seq: e.seq, Events: e.events} }

func (e entry) offset() int64 { return int64(e.page) * disk.Align }

// index is where the blocks of a file are.
type index struct {
	entries []entry // of the blocks that were not removed
	end     stream.Mark
	pages   uint32 // of the file, up to the end of the newest block
}

// add adds the block of n bytes that begins at the end of the file.
func (x *index) add(first, end stream.Mark, n int) {
	x.entries = append(x.entries, entry{first.Seq, first.Events, x.pages})
	x.end = end
	x.pages += uint32(n / disk.Align)
}

// next is the beginning of the block after i, or the end.
func (x *index) next(i int) entry {
	if i+1 < len(x.entries) {
		return x.entries[i+1]
	}
	return entry{x.end.Seq, x.end.Events, x.pages}
}

// find returns the block with a position, which is within the bounds.
func (x *index) find(seq int64) int {
	return sort.Search(len(x.entries), func(i int) bool { return x.entries[i].seq > seq }) - 1
}

// withEvents returns the first block from i on that may have events, or the number of blocks.
func (x *index) withEvents(i int) int {
	for i < len(x.entries) && x.next(i).events == x.entries[i].events {
		i++
	}
	return i
}

// oldest returns the position of the oldest block.
func (x *index) oldest() stream.Mark { return x.next(-1).mark() }

// bytes returns where the next block begins.
func (x *index) bytes() int64 { return int64(x.pages) * disk.Align }

// kept returns how many bytes the blocks have.
func (x *index) kept() int64 { return x.bytes() - x.next(-1).offset() }

// remove removes the n oldest blocks.
func (x *index) remove(n int) { x.entries = slices.Delete(x.entries, 0, n) }

// The index on disk.
const (
	entryBytes  = 24
	footerBytes = 64
	version     = 1

	flagCompressed = 1
)

var (
	magic      = [4]byte{'R', 'N', 'L', 'F'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errNoFooter = errors.New("outputfile: no valid index")
)

// encode returns the index as it is written to the end of the file.
func (x *index) encode(key int64, compressed bool) []byte {
	le, n := binary.LittleEndian, len(x.entries)*entryBytes
	b := disk.Aligned(block.Padded(n + footerBytes))
	for i, e := range x.entries {
		put := b[i*entryBytes:]
		le.PutUint64(put, uint64(e.seq))
		le.PutUint64(put[8:], uint64(e.events))
		le.PutUint32(put[16:], e.page)
	}
	f := b[len(b)-footerBytes:]
	copy(f, magic[:])
	f[4] = version
	if compressed {
		f[5] = flagCompressed
	}
	le.PutUint64(f[8:], uint64(key))
	le.PutUint64(f[16:], uint64(x.bytes()))
	le.PutUint64(f[24:], uint64(len(x.entries)))
	le.PutUint64(f[32:], uint64(x.end.Seq))
	le.PutUint64(f[40:], uint64(x.end.Events))
	le.PutUint32(f[48:], crc32.Checksum(b[:n], castagnoli))
	le.PutUint32(f[60:], crc32.Checksum(f[:60], castagnoli))
	return b
}

// footer is the end of a finished file.
type footer struct {
	key        int64
	offset     int64 // of the index
	blocks     int
	end        stream.Mark
	checksum   uint32 // of the index
	compressed bool
}

// parseFooter returns the footer that a file of this size ends with.
func parseFooter(b []byte, size int64) (footer, error) {
	le := binary.LittleEndian
	if len(b) != footerBytes || [4]byte(b) != magic || le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) ||
		b[4] != version || b[5]&^flagCompressed != 0 {
		return footer{}, errNoFooter
	}
	f := footer{
		key:        int64(le.Uint64(b[8:])),
		offset:     int64(le.Uint64(b[16:])),
		end:        stream.Mark{Seq: int64(le.Uint64(b[32:])), Events: int64(le.Uint64(b[40:]))},
		checksum:   le.Uint32(b[48:]),
		compressed: b[5]&flagCompressed != 0,
	}
	blocks := le.Uint64(b[24:])
	if blocks > MaxBlocks || f.offset < 0 || f.offset%disk.Align != 0 || !block.ValidMark(f.end) ||
		size-f.offset != int64(block.Padded(int(blocks)*entryBytes+footerBytes)) {
		return footer{}, errNoFooter
	}
	f.blocks = int(blocks)
	return f, nil
}

// parseIndex returns the index that b contains.
func parseIndex(b []byte, f footer) (index, error) {
	le := binary.LittleEndian
	if len(b) != f.blocks*entryBytes || crc32.Checksum(b, castagnoli) != f.checksum {
		return index{}, errNoFooter
	}
	x := index{entries: make([]entry, f.blocks), end: f.end, pages: uint32(f.offset / disk.Align)}
	if x.bytes() != f.offset {
		return index{}, errNoFooter
	}
	for i := range x.entries {
		e := b[i*entryBytes:]
		x.entries[i] = entry{int64(le.Uint64(e)), int64(le.Uint64(e[8:])), le.Uint32(e[16:])}
	}
	for i, e := range x.entries {
		if next := x.next(i); e.seq >= next.seq || e.page >= next.page || !block.ValidMark(e.mark()) || !follows(e.mark(), next.mark()) {
			return index{}, errNoFooter
		}
	}
	return x, nil
}
