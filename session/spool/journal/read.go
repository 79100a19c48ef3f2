package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// ReadMeta returns the meta of an entry. The error is ErrErased, ErrNotFound, ErrDamaged, or one of
// the disk.
func (j *Journal) ReadMeta(at Position) ([]byte, error) {
	return j.read(at, func(h *header) (int64, int, uint32) { return headerSize, h.meta, h.metaCRC })
}

// ReadBlob returns the blob of an entry, with the errors of ReadMeta.
func (j *Journal) ReadBlob(at Position) ([]byte, error) {
	return j.read(at, func(h *header) (int64, int, uint32) { return headerSize + int64(h.meta), h.blob, h.blobCRC })
}

// read returns a part of an entry; part is given its header, and returns its offset in the entry,
// its length and its checksum.
func (j *Journal) read(at Position, part func(*header) (off int64, n int, crc uint32)) ([]byte, error) {
	s, err := j.find(at)
	if err != nil {
		return nil, err
	}
	f, err := j.acquire(s, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer j.release(f)
	h, err := readEntry(f, s, at)
	if err != nil {
		return nil, err
	}
	off, n, crc := part(&h)
	b := make([]byte, n)
	if err := readAt(f, b, at.Offset+off); err != nil {
		return nil, at.wrap(err)
	}
	if crc32.Checksum(b, castagnoli) == crc {
		return b, nil
	}
	if _, err := readEntry(f, s, at); err != nil { // erased meanwhile
		return nil, err
	}
	return nil, at.wrap(ErrDamaged)
}

// find returns the segment of a position at which an entry may be.
func (j *Journal) find(at Position) (*segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, ErrClosed
	}
	s := j.segments[at.Segment]
	if s == nil || at.Offset < headerSize || at.Offset%align != 0 || at.Offset >= s.end {
		return nil, at.wrap(ErrNotFound)
	}
	return s, nil
}

// readEntry returns the header of an entry that is not erased.
func readEntry(f io.ReaderAt, s *segment, at Position) (header, error) {
	h, err := readHeader(f, s, at)
	if err == nil && h.isErased() {
		return header{}, at.wrap(ErrErased)
	}
	return h, err
}

func readHeader(f io.ReaderAt, s *segment, at Position) (header, error) {
	b := make([]byte, headerSize)
	if err := readAt(f, b, at.Offset); err != nil {
		return header{}, at.wrap(err)
	}
	h, ok := parseHeader(b, s.tag, at.Offset)
	if !ok {
		return header{}, at.wrap(ErrDamaged)
	}
	return h, nil
}

// wrap adds the position to an error. A file that ends too early is damaged.
func (at Position) wrap(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = ErrDamaged
	}
	return fmt.Errorf("%w: %s at %d", err, segmentName(at.Segment), at.Offset)
}
