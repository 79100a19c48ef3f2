package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Bounds of an entry, in bytes.
const (
	MaxMeta = 4 << 20
	MaxBlob = 2 << 20
)

const (
	align      = 64
	headerSize = align
	crcAt      = 60 // of a header, covers what is before
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Type says what an entry is about. Its number is on the disk.
type Type uint8

const (
	Start   Type = 1
	Record  Type = 2
	Removed Type = 3

	erasing Type = 254 // Erase has begun, and may not have reached the disk
	erased  Type = 255
)

func (t Type) String() string {
	switch t {
	case Start:
		return "start"
	case Record:
		return "record"
	case Removed:
		return "removed"
	case erasing, erased:
		return "erased"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Entry is what Append writes. Meta and Blob are opaque.
type Entry struct {
	Type Type
	Key  int64
	Meta []byte // at most MaxMeta; Scan returns it
	Blob []byte // at most MaxBlob; only ReadBlob returns it
}

// Position is the place of an entry. It does not change.
type Position struct {
	Segment uint32
	Offset  int64
}

// Check returns the error with which Append refuses an entry, and all others with it: ErrType or ErrTooLarge.
func (e *Entry) Check() error {
	if e.Type != Start && e.Type != Record && e.Type != Removed {
		return ErrType
	}
	if len(e.Meta) > MaxMeta || len(e.Blob) > MaxBlob {
		return fmt.Errorf("%w: entry with %d bytes of meta and %d bytes of blob", ErrTooLarge, len(e.Meta), len(e.Blob))
	}
	return nil
}

func (e *Entry) header() header {
	return header{
		typ: e.Type, key: e.Key, meta: len(e.Meta), blob: len(e.Blob),
		metaCRC: crc32.Checksum(e.Meta, castagnoli), blobCRC: crc32.Checksum(e.Blob, castagnoli),
	}
}

func (e *Entry) size() int64 {
	return aligned(headerSize + int64(len(e.Meta)) + int64(len(e.Blob)))
}

func aligned(n int64) int64 { return (n + align - 1) &^ (align - 1) }

// tag begins each entry of a segment.
type tag [8]byte

// header is the fixed part of an entry.
type header struct {
	typ              Type
	key              int64
	meta, blob       int // lengths, within their bounds
	metaCRC, blobCRC uint32
}

// size returns the bytes that the entry occupies.
func (h *header) size() int64 { return aligned(headerSize + int64(h.meta) + int64(h.blob)) }

func (h *header) isErased() bool { return h.typ == erasing || h.typ == erased }

// as returns the header of the entry after its content was erased. Key and checksums would tell
// about the content.
func (h *header) as(t Type) header { return header{typ: t, meta: h.meta, blob: h.blob} }

// encode returns the bytes of the header at an offset of the segment.
func (h *header) encode(t tag, at int64) (b [headerSize]byte) {
	h.put(&b, t, at)
	return b
}

func (h *header) put(b *[headerSize]byte, t tag, at int64) {
	*b = [headerSize]byte{}
	copy(b[:], t[:])
	b[8] = byte(h.typ)
	binary.LittleEndian.PutUint32(b[12:], uint32(at))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.key))
	binary.LittleEndian.PutUint32(b[24:], uint32(h.meta))
	binary.LittleEndian.PutUint32(b[28:], uint32(h.blob))
	binary.LittleEndian.PutUint32(b[32:], h.metaCRC)
	binary.LittleEndian.PutUint32(b[36:], h.blobCRC)
	seal(b)
}

// seal sets the checksum of a header.
func seal(b *[headerSize]byte) {
	binary.LittleEndian.PutUint32(b[crcAt:], crc32.Checksum(b[:crcAt], castagnoli))
}

func isSealed(b []byte) bool {
	return binary.LittleEndian.Uint32(b[crcAt:]) == crc32.Checksum(b[:crcAt], castagnoli)
}

// parseHeader reads the header of an entry, which was read at an offset of a segment. It accepts
// exactly what encode writes, so what it returns is within the bounds.
func parseHeader(b []byte, t tag, at int64) (header, bool) {
	if len(b) < headerSize || tag(b) != t || !isSealed(b) {
		return header{}, false
	}
	meta, blob := binary.LittleEndian.Uint32(b[24:]), binary.LittleEndian.Uint32(b[28:])
	if meta > MaxMeta || blob > MaxBlob || int64(binary.LittleEndian.Uint32(b[12:])) != at ||
		!isZero(b[9:12]) || !isZero(b[40:crcAt]) {
		return header{}, false
	}
	h := header{
		typ: Type(b[8]), key: int64(binary.LittleEndian.Uint64(b[16:])), meta: int(meta), blob: int(blob),
		metaCRC: binary.LittleEndian.Uint32(b[32:]), blobCRC: binary.LittleEndian.Uint32(b[36:]),
	}
	switch h.typ {
	case Start, Record, Removed:
		return h, true
	case erasing, erased:
		return h, h == h.as(h.typ)
	}
	return header{}, false
}

// Size returns how many bytes of a segment an entry with so many bytes of meta and blob takes.
func Size(meta, blob int) int64 { return aligned(headerSize + int64(meta) + int64(blob)) }
