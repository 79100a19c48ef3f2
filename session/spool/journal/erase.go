package journal

import (
	"os"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// maxErasures bounds the erasures that wait for a Sync. Erase syncs if there are more.
const maxErasures = 4096

var zeros [64 << 10]byte

// erasure is one that was written, but may not have reached the disk.
type erasure struct {
	segment *segment
	at      Position
	header  header
}

// Erase overwrites an entry with zeros in its file, for ever: ReadMeta and ReadBlob return
// ErrErased, and Scan skips it. It does not shrink the file. Erasing an erased entry does nothing.
//
// The erasure is on the disk when a later Sync has returned nil. After a crash in between, Scan
// erases the rest, or reports the entry as damaged. After an error, call Erase again; the entry may
// already be unreadable.
func (j *Journal) Erase(at Position) error {
	s, err := j.find(at)
	if err != nil {
		return err
	}
	f, err := j.acquire(s, os.O_RDWR)
	if err != nil {
		return err
	}
	defer j.release(f)
	h, err := readHeader(f, s, at)
	if err != nil {
		return err
	}
	if h.typ == erased {
		return nil
	}
	if err := overwrite(f, s.tag, at, &h); err != nil {
		return at.wrap(err)
	}
	if j.erasedAt(erasure{segment: s, at: at, header: h}) {
		return j.Sync()
	}
	return nil
}

// overwrite writes the header first: from then on nothing of the entry is returned, also after a
// crash, and Scan knows that the rest has to be erased.
func overwrite(f disk.File, t tag, at Position, h *header) error {
	to := h.as(erasing)
	b := to.encode(t, at.Offset)
	if err := writeAt(f, b[:], at.Offset); err != nil {
		b = h.encode(t, at.Offset)
		_ = writeAt(f, b[:], at.Offset) // half a header could not be erased later
		return err
	}
	off, left := at.Offset+headerSize, int64(h.meta)+int64(h.blob)
	for left > 0 {
		n := min(left, int64(len(zeros)))
		if err := writeAt(f, zeros[:n], off); err != nil {
			return err
		}
		off, left = off+n, left-n
	}
	return nil
}

// erasedAt notes an erasure for the next Sync, and reports whether there are too many.
func (j *Journal) erasedAt(e erasure) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.segment.changed++
	j.erasures = append(j.erasures, e)
	return len(j.erasures) >= maxErasures
}

// finish marks entries as erased whose zeros are on the disk. An entry that is not marked is erased
// again by the next Scan, so errors do not matter.
func (j *Journal) finish(e erasure) {
	f, err := j.acquire(e.segment, os.O_RDWR)
	if err != nil {
		return
	}
	defer j.release(f)
	h := e.header.as(erased)
	b := h.encode(e.segment.tag, e.at.Offset)
	_ = writeAt(f, b[:], e.at.Offset)
}
