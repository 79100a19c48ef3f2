package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

const (
	maxReported   = 1024 // of each kind in a Report
	maxReadErrors = 16   // of a segment; what follows is not read
	readErrorStep = 64 << 10

	readAhead = 256 << 10
	readShort = 8 << 10 // after a blob that was skipped
)

// Report is what Scan found besides entries.
type Report struct {
	Damage  []Damage // ascending
	Foreign []string // names in the directory that look like a segment, but are none. They stay
	Omitted int      // how many are in neither list, which have at most 1024 each
}

// Damage is a part of a segment from which no entry was read.
type Damage struct {
	Position
	Bytes int64
	Torn  bool  // it is at the end of the file: an Append that was interrupted
	Err   error // ErrDamaged, or of the disk
}

func (r *Report) damage(d Damage) {
	if len(r.Damage) == maxReported {
		r.Omitted++
		return
	}
	r.Damage = append(r.Damage, d)
}

func (r *Report) foreign(name string) {
	if len(r.Foreign) == maxReported {
		r.Omitted++
		return
	}
	r.Foreign = append(r.Foreign, name)
}

// Visit is given each entry by Scan. meta is valid during the call only; blob is a length in bytes.
// An error ends the scan.
type Visit func(at Position, t Type, key int64, meta []byte, blob int) error

// Scan reads the entries in the order in which they were appended, without their blobs, and without
// those that were erased. What it cannot read it skips and reports; the error is only that of
// visit.
//
// Afterwards entries are appended to the last segment; a torn tail of it is cut off before the
// first one.
func (j *Journal) Scan(visit Visit) (*Report, error) {
	j.mu.Lock()
	if j.started {
		j.mu.Unlock()
		return nil, ErrStarted
	}
	j.started = true
	ids := slices.Sorted(maps.Keys(j.segments))
	j.mu.Unlock()

	r := &Report{}
	for _, name := range j.foreign {
		r.foreign(name)
	}
	sc := &scanner{journal: j, report: r, visit: visit}
	for _, id := range ids {
		if err := sc.scan(id); err != nil {
			return r, err
		}
	}
	return r, nil
}

// scanner reads segments through a buffer.
type scanner struct {
	journal *Journal
	report  *Report
	visit   Visit

	file       disk.File
	segment    *segment
	size       int64 // of the file, at most maxFileBytes
	readErrors int
	buf        []byte // what is in the file from base on
	base       int64
}

// scan reads a segment, and makes it the current one if entries can be appended to it.
func (sc *scanner) scan(id uint32) error {
	j := sc.journal
	s := j.segments[id]
	f, err := j.acquire(s, os.O_RDONLY)
	if err != nil {
		sc.unreadable(s, err)
		return nil
	}
	defer j.release(f)
	if s.size, err = f.Size(); err != nil {
		sc.unreadable(s, err)
		return nil
	}
	sc.file, sc.segment, sc.size = f, s, min(s.size, maxFileBytes)
	sc.buf, sc.base, sc.readErrors = sc.buf[:0], 0, 0
	intact, ok := sc.begin()
	if !ok {
		return nil
	}
	err = sc.entries()
	sc.use(s, intact && sc.readErrors == 0)
	return err
}

// use makes entries go to a segment, or to a new one.
func (sc *scanner) use(s *segment, usable bool) {
	sc.journal.mu.Lock()
	defer sc.journal.mu.Unlock()
	sc.journal.current, sc.journal.torn = nil, false
	if usable {
		sc.journal.current, sc.journal.torn = s, true
	}
}

func (sc *scanner) unreadable(s *segment, err error) {
	sc.report.damage(Damage{Position: Position{Segment: s.id}, Bytes: s.size, Err: err})
	sc.use(s, false)
}

// begin reads the header of the segment. ok is false if there is nothing to read.
func (sc *scanner) begin() (intact, ok bool) {
	s, at := sc.segment, Position{Segment: sc.segment.id}
	b, err := sc.bytes(0, int(min(sc.size, 2*headerSize)))
	if err != nil {
		sc.unreadable(s, err)
		return false, false
	}
	t, intact, ok := parseSegmentHeader(b, s.id)
	switch {
	case ok:
		s.tag = t
		if !intact {
			sc.report.damage(Damage{Position: at, Bytes: headerSize, Err: ErrDamaged})
		}
	case isBegun(b):
		sc.report.damage(Damage{Position: at, Bytes: sc.size, Torn: true, Err: ErrDamaged})
	default:
		sc.report.foreign(segmentName(s.id))
		sc.journal.mu.Lock()
		delete(sc.journal.segments, s.id)
		sc.journal.mu.Unlock()
		sc.journal.forget(s)
	}
	return intact, ok
}

// entries reads all entries of the segment.
func (sc *scanner) entries() error {
	s := sc.segment
	s.end = headerSize
	for at := int64(headerSize); at < sc.size; {
		h, meta, err := sc.entry(at)
		pos := Position{Segment: s.id, Offset: at}
		var next int64
		switch {
		case err == nil:
			if next = at + h.size(); h.isErased() {
				sc.finishErasure(pos, h, next)
			} else if err := sc.visit(pos, h.typ, h.key, meta, h.blob); err != nil {
				return err
			}
		case errors.Is(err, errMeta):
			next = at + h.size()
			sc.report.damage(Damage{Position: pos, Bytes: h.size(), Err: ErrDamaged})
		default:
			next = sc.search(at, err)
			torn := next == sc.size && sc.readErrors == 0
			sc.report.damage(Damage{Position: pos, Bytes: next - at, Torn: torn, Err: err})
			if next == sc.size {
				return nil
			}
		}
		at = next
		s.end = at
	}
	return nil
}

// errMeta is returned by scanner.entry if the header of the entry is intact, and its meta is not.
var errMeta = fmt.Errorf("%w: meta", ErrDamaged)

// entry reads the entry at an offset. meta is valid until the next call.
func (sc *scanner) entry(at int64) (h header, meta []byte, err error) {
	if sc.size-at < headerSize {
		return h, nil, ErrDamaged
	}
	b, err := sc.bytes(at, headerSize)
	if err != nil {
		return h, nil, err
	}
	h, ok := parseHeader(b, sc.segment.tag, at)
	if !ok || at+headerSize+int64(h.meta)+int64(h.blob) > sc.size {
		return h, nil, ErrDamaged
	}
	if h.isErased() {
		return h, nil, nil
	}
	meta, err = sc.bytes(at+headerSize, h.meta)
	if err != nil {
		return h, nil, err
	}
	if crc32.Checksum(meta, castagnoli) != h.metaCRC {
		return h, nil, errMeta
	}
	return h, meta, nil
}

// search returns the offset of the next header behind one that is damaged, or the end of the file.
// err is why the one at the offset cannot be read.
func (sc *scanner) search(at int64, err error) int64 {
	for {
		if errors.Is(err, ErrDamaged) {
			at += align
		} else {
			at = at/readErrorStep*readErrorStep + readErrorStep
		}
		if sc.size-at < headerSize || sc.readErrors > maxReadErrors {
			return sc.size
		}
		var b []byte
		if b, err = sc.bytes(at, headerSize); err != nil {
			continue
		}
		if _, ok := parseHeader(b, sc.segment.tag, at); ok {
			return at
		}
		err = ErrDamaged
	}
}

// finishErasure erases an entry whose erasure may not have reached the disk.
func (sc *scanner) finishErasure(at Position, h header, end int64) {
	if h.typ == erased {
		return
	}
	sc.segment.end = end
	if err := sc.journal.Erase(at); err != nil {
		sc.report.damage(Damage{Position: at, Bytes: h.size(), Err: err})
	}
}

// bytes returns n bytes at an offset, which the file has. They are valid until the next call. The
// error is ErrDamaged if the file became shorter, or one of the disk.
func (sc *scanner) bytes(off int64, n int) ([]byte, error) {
	end := sc.base + int64(len(sc.buf))
	if off < sc.base || off+int64(n) > end {
		err := sc.fill(off, max(n, sc.ahead(off > end)))
		if err != nil {
			err = sc.fill(off, n)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrDamaged
		}
		if err != nil {
			return nil, err
		}
	}
	return sc.buf[off-sc.base:][:n], nil
}

// ahead returns how much to read at once.
func (sc *scanner) ahead(skipped bool) int {
	switch {
	case sc.readErrors > 0:
		return 0
	case skipped:
		return readShort
	}
	return readAhead
}

// fill reads n bytes at an offset into the buffer, or up to the end of the file.
func (sc *scanner) fill(off int64, n int) error {
	n = int(min(int64(n), sc.size-off))
	sc.base, sc.buf = off, slices.Grow(sc.buf[:0], n)[:n]
	err := readAt(sc.file, sc.buf, off)
	if err != nil {
		sc.buf = sc.buf[:0]
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			sc.readErrors++
		}
	}
	return err
}
