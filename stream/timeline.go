package stream

import (
	"slices"
	"sort"
	"time"
)

const (
	// maxTimeMarks is how many marks a timeline has at most.
	maxTimeMarks = 256
	// minTimeInterval is how near a mark may not be to both of its neighbors; it doubles when there are too many.
	minTimeInterval = 100 * time.Millisecond
)

// TimeMark says that all output before Seq was appended at Time or earlier.
type TimeMark struct {
	Time time.Time
	Seq  int64
}

// timeline is when the output of a log was appended, in at most maxTimeMarks marks.
type timeline struct {
	marks    []TimeMark
	interval time.Duration
	newest   TimeMark // after the newest output; zero if there was none
}

// add records that n bytes of output are appended after seq. It reads the clock once. A nil
// timeline records nothing.
func (t *timeline) add(seq, n int64) {
	if t == nil {
		return
	}
	before := t.newest
	t.newest = TimeMark{time.Now(), seq + n}
	if before.Seq == 0 { // this is the first output
		return
	}
	t.interval = max(t.interval, minTimeInterval)
	have := len(t.marks)
	if have > 0 && before.Time.Sub(t.marks[have-1].Time) < t.interval && t.newest.Time.Sub(before.Time) < t.interval {
		return
	}
	for len(t.marks) >= maxTimeMarks {
		t.thin()
	}
	t.marks = append(t.marks, before)
}

// thin doubles the interval, and removes the marks that are nearer to both of their neighbors.
func (t *timeline) thin() {
	t.interval *= 2
	kept := t.marks[:1]
	for i, m := range t.marks[1:] {
		next := t.newest
		if i+2 < len(t.marks) {
			next = t.marks[i+2]
		}
		if m.Time.Sub(kept[len(kept)-1].Time) >= t.interval || next.Time.Sub(m.Time) >= t.interval {
			kept = append(kept, m)
		}
	}
	t.marks = kept
}

// all returns a copy of the marks, with the one after the newest output.
func (t *timeline) all() []TimeMark {
	if t == nil {
		return nil
	}
	marks := slices.Clone(t.marks)
	if t.newest.Seq > 0 {
		marks = append(marks, t.newest)
	}
	return marks
}

// Timeline returns when output was appended, in at most 257 marks, ordered by time. It is empty
// without [LogOptions.Timeline].
func (l *Log) Timeline() []TimeMark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.timeline.all()
}

// PositionAt returns a position at or before the first output that was appended after t, or after
// the newest output if there is none. Without [LogOptions.Timeline] it returns 0.
func (l *Log) PositionAt(t time.Time) int64 {
	marks := l.Timeline()
	i := sort.Search(len(marks), func(i int) bool { return marks[i].Time.After(t) })
	if i == 0 {
		return 0
	}
	return marks[i-1].Seq
}
