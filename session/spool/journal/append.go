package journal

import (
	"bufio"
	"fmt"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// writeBytes is the most that is gathered for one write.
const writeBytes = 256 << 10

var padding [align]byte

// output writes entries one behind the other.
type output struct {
	file   disk.File
	at     int64
	buf    *bufio.Writer
	header [headerSize]byte
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.WriteAt(b, o.at)
	o.at += int64(n)
	return n, err
}

// Append writes entries and returns their positions. Up to 256 KiB are one write(2). All go to the
// same segment, a new one if the current one would exceed its bound.
//
// After an error the journal is as before, and usable: what was written is cut off. If even that
// fails, later entries go to a new segment, and entries of this call may be found after a restart.
func (j *Journal) Append(entries []Entry) ([]Position, error) {
	var size int64
	for i := range entries {
		if err := entries[i].Check(); err != nil {
			return nil, err
		}
		size += entries[i].size()
	}
	if size > MaxSegmentBytes {
		return nil, fmt.Errorf("%w: entries of %d bytes", ErrTooLarge, size)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	if err := j.makeRoom(size); err != nil {
		return nil, err
	}
	s := j.current
	positions, err := j.write(s, entries)
	if err != nil {
		j.mu.Lock()
		j.torn = true
		s.size = max(s.size, j.out.at)
		j.mu.Unlock()
		_ = j.repair() // the next Append tries again
		return nil, fmt.Errorf("journal: append: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.end += size
	s.size = s.end
	s.changed++
	return positions, nil
}

// makeRoom makes the current segment one that takes size bytes at its end.
func (j *Journal) makeRoom(size int64) error {
	j.mu.Lock()
	s := j.current
	fits := s != nil && !j.retire && (s.end == headerSize || s.end+size <= j.segmentBytes)
	j.mu.Unlock()
	if fits && j.repair() == nil {
		return nil
	}
	return j.begin()
}

// write writes entries at the end of a segment.
func (j *Journal) write(s *segment, entries []Entry) ([]Position, error) {
	o := &j.out
	o.file, o.at = j.file, s.end
	if o.buf == nil {
		o.buf = bufio.NewWriterSize(o, writeBytes)
	}
	o.buf.Reset(o)
	positions, at := make([]Position, len(entries)), s.end
	for i := range entries {
		e := &entries[i]
		h := e.header()
		h.put(&o.header, s.tag, at)
		pad := h.size() - headerSize - int64(h.meta) - int64(h.blob)
		for _, part := range [...][]byte{o.header[:], e.Meta, e.Blob, padding[:pad]} {
			if _, err := o.buf.Write(part); err != nil {
				return nil, err
			}
		}
		positions[i] = Position{Segment: s.id, Offset: at}
		at += h.size()
	}
	return positions, o.buf.Flush()
}
