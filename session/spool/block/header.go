// Package block is the codec of a block: a contiguous part of the output and the events of a session,
// in the form in which a spool stores it. docs/spool.md defines the format.
package block

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

const (
	// MaxBytes is the length of the largest block, with its header.
	MaxBytes = 512 << 10
	// HeaderBytes is the length of the header of a block.
	HeaderBytes = 72
	// MaxEntries is how many entries a block has at most, so that an item in memory, which is larger
	// than its entry, does not multiply the size of a block of tiny items.
	MaxEntries = 8192

	version = 1
)

// The flags of a header.
const (
	flagCompressed = 1 << iota
	flagEvents
	knownFlags = flagCompressed | flagEvents
)

var magic = [4]byte{'R', 'N', 'L', 'B'}

// What is wrong with a block.
var (
	ErrNoBlock   = errors.New("block: no block begins here")
	ErrVersion   = errors.New("block: unknown version")
	ErrChecksum  = errors.New("block: wrong checksum")
	ErrTruncated = errors.New("block: shorter than its header says")
	ErrInvalid   = errors.New("block: invalid content")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header describes a block.
type Header struct {
	Key        int64 // of the session
	First, End stream.Mark
	Time       time.Time // at which the block was begun, in milliseconds
	Compressed bool
	Events     bool   // there are events in it
	Payload    int    // bytes after the header
	Raw        int    // bytes after the header, if decompressed
	checksum   uint32 // of the payload
}

// Bytes returns the length of the block without padding.
func (h *Header) Bytes() int { return HeaderBytes + h.Payload }

// Padded returns n, rounded up to a multiple of disk.Align.
func Padded(n int) int { return (n + disk.Align - 1) / disk.Align * disk.Align }

// put writes the header to the beginning of b, whose rest is the payload.
func (h *Header) put(b []byte) {
	h.Payload = len(b) - HeaderBytes
	copy(b, magic[:])
	b[4], b[5], b[6], b[7] = version, 0, 0, 0
	if h.Compressed {
		b[5] |= flagCompressed
	} else {
		h.Raw = h.Payload
	}
	if h.Events {
		b[5] |= flagEvents
	}
	le := binary.LittleEndian
	le.PutUint64(b[8:], uint64(h.Key))
	le.PutUint64(b[16:], uint64(h.First.Seq))
	le.PutUint64(b[24:], uint64(h.First.Events))
	le.PutUint64(b[32:], uint64(h.End.Seq))
	le.PutUint64(b[40:], uint64(h.End.Events))
	le.PutUint64(b[48:], uint64(h.Time.UnixMilli()))
	le.PutUint32(b[56:], uint32(h.Payload))
	le.PutUint32(b[60:], uint32(h.Raw))
	h.checksum = crc32.Checksum(b[HeaderBytes:], castagnoli)
	le.PutUint32(b[64:], h.checksum)
	le.PutUint32(b[68:], crc32.Checksum(b[:68], castagnoli))
}

// ParseHeader returns the header of the block at the beginning of b, whose rest may be missing. It
// returns ErrNoBlock, ErrVersion, ErrChecksum, ErrTruncated or ErrInvalid.
func ParseHeader(b []byte) (Header, error) {
	switch {
	case len(b) < len(magic) || [4]byte(b) != magic:
		return Header{}, ErrNoBlock
	case len(b) < HeaderBytes:
		return Header{}, ErrTruncated
	}
	le := binary.LittleEndian
	switch {
	case le.Uint32(b[68:]) != crc32.Checksum(b[:68], castagnoli):
		return Header{}, ErrChecksum
	case b[4] != version || b[5]&^knownFlags != 0 || b[6] != 0 || b[7] != 0:
		return Header{}, ErrVersion
	}
	h := Header{
		Key:        int64(le.Uint64(b[8:])),
		First:      stream.Mark{Seq: int64(le.Uint64(b[16:])), Events: int64(le.Uint64(b[24:]))},
		End:        stream.Mark{Seq: int64(le.Uint64(b[32:])), Events: int64(le.Uint64(b[40:]))},
		Time:       time.UnixMilli(int64(le.Uint64(b[48:]))),
		Compressed: b[5]&flagCompressed != 0,
		Events:     b[5]&flagEvents != 0,
		checksum:   le.Uint32(b[64:]),
	}
	payload, raw := le.Uint32(b[56:]), le.Uint32(b[60:])
	if payload > MaxBytes-HeaderBytes || raw > MaxBytes-HeaderBytes || !h.Compressed && raw != payload || !h.consistent() {
		return Header{}, ErrInvalid
	}
	h.Payload, h.Raw = int(payload), int(raw)
	return h, nil
}

// consistent reports whether the positions can be those of a block.
func (h *Header) consistent() bool {
	seq, events := h.End.Seq-h.First.Seq, h.End.Events-h.First.Events
	return ValidMark(h.First) && ValidMark(h.End) && 0 <= events && events <= seq && seq <= MaxBytes && h.Events == (events > 0)
}

// ValidMark reports whether m can be a position in a log. Positions close to the largest integer
// are not valid, so that the length of a block can be added to one.
func ValidMark(m stream.Mark) bool {
	return 0 <= m.Events && m.Events <= m.Seq && m.Seq <= math.MaxInt64/2
}
