package audit

import (
	"strconv"
	"time"
)

// queue contains the lines that wait to be written. Log.mu protects it.
type queue struct {
	seq     uint64 // of the newest line
	pending []byte // lines that the writer has not taken
	count   int64  // of them
	waiters []chan struct{}

	taken        int // bytes of the lines that the writer has taken and not written
	takenCount   int64
	takenWaiters []chan struct{}

	lost     lost      // lines, since the last line about them
	reported time.Time // when lossToReport returned a number

	failing bool // the last attempt to write has failed, or took too long
	reopen  []chan error
	closed  bool
}

// add adds a line with its header, or counts it as lost.
func (q *queue) add(server string, text []byte, vital bool) bool {
	q.seq++
	most := maxPending
	if !vital {
		most /= 2
	}
	if q.closed || len(q.pending)+q.taken+maxHeader+len(text) > most {
		if q.lost.count == 0 {
			q.lost.first = q.seq
		}
		q.lost.count, q.lost.last = q.lost.count+1, q.seq
		return false
	}
	q.append(server, text)
	return true
}

// append adds a line with its header, for which there is room.
func (q *queue) append(server string, text []byte) {
	b := append(q.pending, `{"v":`...)
	b = strconv.AppendInt(b, Version, 10)
	b = append(b, `,"time":"`...)
	b = time.Now().UTC().AppendFormat(b, timeFormat)
	b = append(b, `","server":"`...)
	b = append(b, server...)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, q.seq, 10)
	b = append(b, ',')
	q.pending = append(b, text...)
	q.count++
}

const (
	// timeFormat is RFC 3339 in UTC, always with nanoseconds.
	timeFormat = "2006-01-02T15:04:05.000000000Z"
	// maxHeader is the longest header.
	maxHeader = 128
)

// take moves the lines that wait to the writer, in exchange for an empty buffer. If lines were lost,
// their number follows.
func (q *queue) take(l *Log, empty []byte) []byte {
	if q.lost.count > 0 {
		q.seq++
		var x line
		x.begin(&q.lost, l.most, false)
		q.append(l.server, x.b)
		q.lost = lost{}
	}
	batch := q.pending
	q.pending = empty[:0]
	q.taken, q.takenCount, q.takenWaiters = len(batch), q.count, append(q.takenWaiters[:0], q.waiters...)
	clear(q.waiters)
	q.count, q.waiters = 0, q.waiters[:0]
	return batch
}

// wrote is called after each attempt to write. whole is how many bytes of the lines that were taken
// were written, in so many lines.
func (q *queue) wrote(whole int, lines int64, err error) {
	q.taken -= whole
	q.takenCount -= lines
	if q.failing = err != nil; q.failing {
		return
	}
	for _, w := range q.takenWaiters {
		close(w)
	}
	clear(q.takenWaiters)
	q.takenWaiters = q.takenWaiters[:0]
}

// lossToReport returns the number of lost lines, or 0 if there was a report a moment ago.
func (q *queue) lossToReport() int64 {
	now := time.Now()
	if now.Sub(q.reported) < lossPause {
		return 0
	}
	q.reported = now
	return q.lost.count
}

// unwritten returns how many lines are not written.
func (q *queue) unwritten() int64 { return q.count + q.takenCount + q.lost.count }
