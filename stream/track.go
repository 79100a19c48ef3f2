package stream

import (
	"encoding/binary"
	"errors"
	"time"
)

// A Track is a list of entries with their times and positions in a log, oldest first. Each entry is the
// time since the entry before, in microseconds, the distance from its position, and on a track with data
// the length of the data, as varints (encoding/binary), and then the data.
type Track []byte

// TrackEntry is one entry of a track.
type TrackEntry struct {
	Time time.Duration // since the beginning of the recording, in whole microseconds
	Seq  int64         // position in the log
	Data []byte        // not a copy
}

// ErrTrack means that a track is not valid.
var ErrTrack = errors.New("not a valid recording")

// maxTrackSum is the largest time in microseconds, and the largest position, of a valid track.
const maxTrackSum = 1 << 53

// TrackReader reads a track. The zero value has no entries.
type TrackReader struct {
	rest     Track
	withData bool
	time     uint64 // in microseconds
	seq      uint64
	err      error
}

// Read returns a reader at the beginning of the track. withData says whether its entries have data.
func (t Track) Read(withData bool) *TrackReader { return &TrackReader{rest: t, withData: withData} }

// Next returns the next entry. ok is false at the end of the track, or if it is not valid: see Err.
func (r *TrackReader) Next() (e TrackEntry, ok bool) {
	if len(r.rest) == 0 || r.err != nil {
		return TrackEntry{}, false
	}
	r.time += r.number(maxTrackSum)
	r.seq += r.number(maxTrackSum)
	if r.withData {
		n := r.number(uint64(len(r.rest)))
		if n > uint64(len(r.rest)) {
			r.err = ErrTrack
		} else {
			e.Data, r.rest = r.rest[:n:n], r.rest[n:]
		}
	}
	if r.time > maxTrackSum || r.seq > maxTrackSum {
		r.err = ErrTrack
	}
	e.Time, e.Seq = time.Duration(r.time)*time.Microsecond, int64(r.seq)
	return e, r.err == nil
}

// Err returns ErrTrack if Next has ended because the track is not valid.
func (r *TrackReader) Err() error { return r.err }

// number reads a varint of at most that value.
func (r *TrackReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.err = ErrTrack
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// maxTrackHead is how many bytes an entry has at most besides its data.
const maxTrackHead = 3 * binary.MaxVarintLen64

// trackWriter appends to a track. Its memory is never changed, so readers share it.
type trackWriter struct {
	track    Track
	withData bool
	time     int64 // of the newest entry, in microseconds
	seq      int64
}

// add appends an entry, whose time and position must not be before those of the newest one.
func (w *trackWriter) add(e TrackEntry) {
	at := e.Time.Microseconds()
	w.track = binary.AppendUvarint(w.track, uint64(at-w.time))
	w.track = binary.AppendUvarint(w.track, uint64(e.Seq-w.seq))
	if w.withData {
		w.track = append(binary.AppendUvarint(w.track, uint64(len(e.Data))), e.Data...)
	}
	w.time, w.seq = at, e.Seq
}

// grow makes room for n more bytes, at most that many in all, and returns by how many bytes the memory has
// grown. The memory doubles from minTrackBytes on.
func (w *trackWriter) grow(n, most int) (by int64) {
	have := cap(w.track)
	if have-len(w.track) >= n {
		return 0
	}
	larger := make(Track, len(w.track), min(max(2*have, len(w.track)+n, minTrackBytes), most))
	copy(larger, w.track)
	w.track = larger
	return int64(cap(larger) - have)
}

const minTrackBytes = 256
