package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

const (
	// DefaultSegmentBytes is the length from which on a segment gets no more entries.
	DefaultSegmentBytes = 8 << 20
	// MaxSegmentBytes bounds Options.SegmentBytes, and the entries of one Append.
	MaxSegmentBytes = 256 << 20

	// maxFileBytes is the longest file that is read as a segment: it may hold one Append beyond its
	// bound. Offsets have 32 bits on the disk.
	maxFileBytes = 2*MaxSegmentBytes + headerSize
	// maxNames bounds the names that are tried for a new segment.
	maxNames = 16
)

// Options of a journal.
type Options struct {
	SegmentBytes int64 // 0: DefaultSegmentBytes; at most MaxSegmentBytes
}

// Journal is a log in the segments of a directory.
//
// Append, NewSegment and Close are for one goroutine at a time, and so is Scan, which is the first
// call. ReadMeta, ReadBlob, Erase, Sync, Segments and Remove may be called concurrently with each
// other and with Append. All but Segments block on the disk.
//
// A journal keeps at most 17 files open between calls. The directory must not be used by another
// journal at the same time; this is not checked.
type Journal struct {
	dir          string
	files        disk.Files
	segmentBytes int64

	mu         sync.Mutex // not held while the disk is used
	segments   map[uint32]*segment
	last       uint32   // the greatest number of a segment, even if it is removed
	current    *segment // entries are appended to it; nil if there is none
	file       *openFile
	open       []*openFile // other segments that were read last, at most maxOpen
	torn       bool        // the file of current may be longer than its end, or is not open yet
	retire     bool        // current gets no more entries, since a sync of it failed
	started    bool
	closed     bool
	erasures   []erasure // that were not synced yet, at most maxErasures
	dirChanged uint64
	dirSynced  uint64

	foreign []string // names in the directory, found by Open
	out     output   // of Append
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	ID      uint32
	Bytes   int64 // of the file; 0 for a file that Scan could not read
	Current bool  // entries are appended to it
}

// Open lists the segments in an existing directory. It reads none of them: call Scan.
func Open(dir string, files disk.Files, o Options) (*Journal, error) {
	list, err := files.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{
		dir: dir, files: files, segmentBytes: min(cmp.Or(o.SegmentBytes, DefaultSegmentBytes), MaxSegmentBytes),
		segments: map[uint32]*segment{},
	}
	for _, d := range list {
		id, ok := parseName(d.Name())
		if ok {
			j.last = max(j.last, id)
		}
		switch {
		case ok && d.Type().IsRegular():
			j.segments[id] = &segment{id: id}
		case strings.HasPrefix(d.Name(), Prefix):
			j.foreign = append(j.foreign, d.Name())
		}
	}
	return j, nil
}

func (j *Journal) path(id uint32) string { return filepath.Join(j.dir, segmentName(id)) }

// Segments returns the segments, the oldest first.
func (j *Journal) Segments() []SegmentInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]SegmentInfo, 0, len(j.segments))
	for _, s := range j.segments {
		all = append(all, SegmentInfo{ID: s.id, Bytes: s.size, Current: s == j.current})
	}
	slices.SortFunc(all, func(a, b SegmentInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// NewSegment makes later entries go to a new segment. It does nothing if the current one has no
// entry.
func (j *Journal) NewSegment() error {
	j.mu.Lock()
	s := j.current
	usable := s != nil && s.end == headerSize && !j.retire
	j.mu.Unlock()
	if usable && j.repair() == nil {
		return nil
	}
	return j.begin()
}

// begin creates a segment and makes it the current one. If it fails, the current one does not
// change.
func (j *Journal) begin() error {
	id, f, err := j.create()
	if err != nil {
		return fmt.Errorf("journal: new segment: %w", err)
	}
	s := &segment{id: id, tag: newTag(), end: headerSize, size: headerSize, changed: 1}
	b := encodeSegmentHeader(s.tag, id)
	if err := writeAt(f, b[:], 0); err != nil {
		_ = f.Close()
		_ = j.files.Remove(j.path(id)) // what stays is reported by the next Scan
		return fmt.Errorf("journal: new segment: %w", err)
	}
	j.mu.Lock()
	old := j.file
	j.segments[id] = s
	j.current, j.file, j.torn, j.retire, j.started = s, &openFile{File: f, segment: s, users: 1}, false, false, true
	j.dirChanged++
	j.mu.Unlock()
	j.release(old)
	return nil
}

// create creates the file of a segment with a new number.
func (j *Journal) create() (id uint32, f disk.File, err error) {
	for range maxNames {
		j.mu.Lock()
		if j.closed {
			j.mu.Unlock()
			return 0, nil, ErrClosed
		}
		if j.last == math.MaxUint32 {
			j.mu.Unlock()
			return 0, nil, errors.New("no number is left")
		}
		id = j.last + 1
		j.mu.Unlock()
		f, err = j.files.OpenFile(j.path(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil || errors.Is(err, fs.ErrExist) {
			j.mu.Lock()
			j.last = id
			j.mu.Unlock()
		}
		if !errors.Is(err, fs.ErrExist) {
			return id, f, err
		}
	}
	return 0, nil, err
}

// Remove deletes a segment. Positions in it are not found afterwards. It returns ErrCurrent for the
// segment to which entries are appended.
func (j *Journal) Remove(id uint32) error {
	j.mu.Lock()
	s := j.segments[id]
	switch {
	case j.closed:
		j.mu.Unlock()
		return ErrClosed
	case s == nil:
		j.mu.Unlock()
		return fmt.Errorf("%w: segment %d", ErrNotFound, id)
	case s == j.current:
		j.mu.Unlock()
		return fmt.Errorf("%w: %d", ErrCurrent, id)
	}
	j.mu.Unlock()
	if err := j.files.Remove(j.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	delete(j.segments, id)
	j.dirChanged++
	j.mu.Unlock()
	j.forget(s)
	return nil
}

// Close syncs and closes the journal. It returns the error of the sync.
func (j *Journal) Close() error {
	err := j.Sync()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	j.mu.Lock()
	all := append(j.open, j.file)
	j.closed, j.open, j.file, j.current = true, nil, nil, nil
	j.mu.Unlock()
	for _, f := range all {
		j.release(f)
	}
	return err
}

// Bytes returns the size of all segments together.
func (j *Journal) Bytes() (sum int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		sum += s.size
	}
	return sum
}
