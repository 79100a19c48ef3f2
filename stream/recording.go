package stream

import "time"

const (
	// MaxOutputTrack is how many bytes the times of the output of one recording take at most.
	MaxOutputTrack = 256 << 10
	// MaxInputTrack is how many bytes the input of one recording takes at most, with its times. Input beyond
	// it is not recorded.
	MaxInputTrack = 1 << 20
	// minTrackInterval is the least time between two entries of the times of output. It doubles each time
	// these would take more than MaxOutputTrack, and then the entries that are nearer are removed.
	minTrackInterval = 10 * time.Millisecond
	// minThinned is below how many bytes the times are not thinned although the budget is exceeded.
	minThinned = 4 << 10
)

// Recording says when the output of a log was appended, and what input was given. It does not change, and
// may be read concurrently.
type Recording struct {
	Begin time.Time // the times are relative to it
	// Output has an entry for each burst of output: what is between its position and that of the next entry
	// was appended at its time, or later by less than Interval.
	Output   Track
	Interval time.Duration
	Input    Track // has data; empty if input is not recorded
	// InputCut reports that there was more input than the bounds permit: nothing is recorded after it.
	InputCut bool
}

// recorder makes the recording of a log. The log's lock protects it.
type recorder struct {
	begin    time.Time
	output   trackWriter
	interval time.Duration
	input    trackWriter
	inputCut bool
	frozen   *Recording // of a log that was opened: there is nothing to add
}

func newRecorder(begin time.Time) *recorder {
	return &recorder{begin: begin, interval: minTrackInterval, input: trackWriter{withData: true}}
}

// Record begins a recording of what is appended from now on, with times relative to begin. It must be
// called before the first output.
func (l *Log) Record(begin time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorder = newRecorder(begin)
}

// Recording returns the recording so far. It is nil if there is none, or if it was evicted.
func (l *Log) Recording() *Recording {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recorder.recording()
}

func (r *recorder) recording() *Recording {
	switch {
	case r == nil:
		return nil
	case r.frozen != nil:
		return r.frozen
	}
	interval := r.interval
	if interval > minTrackInterval { // an entry that was removed may have stood for later output, too
		interval *= 2
	}
	return &Recording{Begin: r.begin, Output: r.output.track, Interval: interval, Input: r.input.track, InputCut: r.inputCut}
}

// Now returns the current time and the end of the log, for RecordInput.
func (l *Log) Now() (at time.Time, seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now(), l.end.seq
}

// RecordInput adds input that was given at a time and a position of the log, which are not before those of
// earlier input. It has no effect without a recording.
func (l *Log) RecordInput(at time.Time, seq int64, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.recorder; r != nil && r.frozen == nil && len(data) > 0 {
		l.account.add(r.addInput(at, seq, data, l.account.Exceeded()))
	}
}

// addInput returns how many bytes more the recording takes. If exceeded is set, it must not take more.
func (r *recorder) addInput(at time.Time, seq int64, data []byte, exceeded bool) (by int64) {
	w, n := &r.input, len(data)+maxTrackHead
	room := MaxInputTrack
	if exceeded {
		room = cap(w.track)
	}
	if r.inputCut = r.inputCut || len(w.track)+n > room; r.inputCut {
		return 0
	}
	by = w.grow(n, MaxInputTrack)
	t := max(at.Sub(r.begin), 0)
	if len(w.track) > 0 { // the times of entries differ
		t = max(t, time.Duration(w.time+1)*time.Microsecond)
	}
	w.add(TrackEntry{Time: t, Seq: max(seq, w.seq), Data: data})
	return by
}

// recordOutput notes that output is appended at the end of the log.
func (l *Log) recordOutput() {
	r := l.recorder
	if r == nil || r.frozen != nil {
		return
	}
	t := max(time.Since(r.begin), 0)
	w := &r.output
	if len(w.track) > 0 && t < time.Duration(w.time)*time.Microsecond+r.interval {
		return
	}
	l.account.add(r.addOutput(TrackEntry{Time: t, Seq: l.end.seq}, l.account.Exceeded()))
}

// addOutput returns how many bytes more the recording takes. If exceeded is set, it should not take more.
func (r *recorder) addOutput(e TrackEntry, exceeded bool) (by int64) {
	w := &r.output
	room := MaxOutputTrack
	if exceeded {
		room = max(cap(w.track), minThinned)
	}
	for len(w.track)+maxTrackHead > room {
		r.thin()
	}
	by = w.grow(maxTrackHead, MaxOutputTrack)
	w.add(e)
	return by
}

// thin doubles the interval, and removes the entries that are nearer to the one before. It leaves at least
// the first entry.
func (r *recorder) thin() {
	r.interval *= 2
	old := r.output.track.Read(false)
	thinned := trackWriter{track: make(Track, 0, cap(r.output.track))}
	last := -r.interval
	for e, ok := old.Next(); ok; e, ok = old.Next() {
		if e.Time-last >= r.interval {
			thinned.add(e)
			last = e.Time
		}
	}
	r.output = thinned
}

// releaseRecording releases the memory of the recording.
func (l *Log) releaseRecording() {
	if r := l.recorder; r != nil && r.frozen == nil {
		l.account.add(-int64(cap(r.output.track) + cap(r.input.track)))
		l.recorder = nil
	}
}
