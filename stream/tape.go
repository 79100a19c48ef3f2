package stream

import (
	"encoding/binary"
	"errors"
	"time"
)

// A Tape is a list of entries with their times and positions in a log, oldest first. Each entry is the
// time since the entry before, in microseconds, the distance from its position, and on a tape with data
// the length of the data, as varints (encoding/binary), and then the data.
type Tape []byte

// TapeEntry is one entry of a tape.
type TapeEntry struct {
	Time time.Duration // since the beginning of the recording, in whole microseconds
	Seq  int64         // position in the log
	Data []byte        // not a copy
}

// ErrTape means that a tape is not valid.
var ErrTape = errors.New("not a valid recording")

// maxTapeSum is the largest time in microseconds, and the largest position, of a valid tape.
const maxTapeSum = 1 << 53

// TapeReader reads a tape. The zero value has no entries.
type TapeReader struct {
	rest     Tape
	withData bool
	time     uint64 // in microseconds
	seq      uint64
	err      error
}

// Read returns a reader at the beginning of the tape. withData says whether its entries have data.
func (t Tape) Read(withData bool) *TapeReader { return &TapeReader{rest: t, withData: withData} }

// Next returns the next entry. ok is false at the end of the tape, or if it is not valid: see Err.
func (r *TapeReader) Next() (e TapeEntry, ok bool) {
	if len(r.rest) == 0 || r.err != nil {
		return TapeEntry{}, false
	}
	r.time += r.number(maxTapeSum)
	r.seq += r.number(maxTapeSum)
	if r.withData {
		n := r.number(uint64(len(r.rest)))
		if n > uint64(len(r.rest)) {
			r.err = ErrTape
		} else {
			e.Data, r.rest = r.rest[:n:n], r.rest[n:]
		}
	}
	if r.time > maxTapeSum || r.seq > maxTapeSum {
		r.err = ErrTape
	}
	e.Time, e.Seq = time.Duration(r.time)*time.Microsecond, int64(r.seq)
	return e, r.err == nil
}

// Err returns ErrTape if Next has ended because the tape is not valid.
func (r *TapeReader) Err() error { return r.err }

// number reads a varint of at most that value.
func (r *TapeReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.err = ErrTape
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// maxTapeHead is how many bytes an entry has at most besides its data.
const maxTapeHead = 3 * binary.MaxVarintLen64

// tapeWriter appends to a tape. Its memory is never changed, so readers share it.
type tapeWriter struct {
	tape     Tape
	withData bool
	time     int64 // of the newest entry, in microseconds
	seq      int64
}

// add appends an entry, whose time and position must not be before those of the newest one.
func (w *tapeWriter) add(e TapeEntry) {
	at := e.Time.Microseconds()
	w.tape = binary.AppendUvarint(w.tape, uint64(at-w.time))
	w.tape = binary.AppendUvarint(w.tape, uint64(e.Seq-w.seq))
	if w.withData {
		w.tape = append(binary.AppendUvarint(w.tape, uint64(len(e.Data))), e.Data...)
	}
	w.time, w.seq = at, e.Seq
}

// grow makes room for n more bytes, at most that many in all, and returns by how many bytes the memory has
// grown. The memory doubles from minTapeBytes on.
func (w *tapeWriter) grow(n, most int) (by int64) {
	have := cap(w.tape)
	if have-len(w.tape) >= n {
		return 0
	}
	larger := make(Tape, len(w.tape), min(max(2*have, len(w.tape)+n, minTapeBytes), most))
	copy(larger, w.tape)
	w.tape = larger
	return int64(cap(larger) - have)
}

const minTapeBytes = 256
