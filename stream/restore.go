package stream

// maxStateRuns is how many runs of events a State has at most.
const maxStateRuns = 1024

// State is what [OpenLog] needs to know of a log whose content is in a [Source].
type State struct {
	End      Mark
	Counts   Counts
	Appended [kinds]int64 // bytes of output by kind, with the markers of truncated lines
	// Events are the positions of the events, so that gaps are exact: one mark for each run of
	// events without output between them, in order. There are at most 1024, the newest ones.
	Events    []Mark
	Notes     []Note
	Timeline  []TimeMark
	Recording *Recording // nil if there is none
}

// Note is an event that does not advance the position: see [Log.AppendNote].
type Note struct {
	Seq   int64
	Event any
}

// State returns the state of the log at its end.
func (l *Log) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := State{
		End:       l.end.mark(),
		Counts:    l.counts,
		Appended:  l.appended,
		Events:    l.eventRuns(),
		Timeline:  l.timeline.all(),
		Recording: l.recorder.recording(),
	}
	for _, n := range l.notes {
		s.Notes = append(s.Notes, Note{n.seq, n.event})
	}
	return s
}

// eventRuns returns the newest runs of events, evicted or not.
func (l *Log) eventRuns() []Mark {
	runs := make([]Mark, 0, len(l.evicted))
	for _, r := range l.evicted {
		runs = append(runs, Mark{r.seq, r.before})
	}
	for i := range l.entries.len() {
		e := l.entries.at(i)
		if e.kind != Event {
			continue
		}
		at := e.at.mark()
		if n := len(runs); n == 0 || at.Seq-runs[n-1].Seq != at.Events-runs[n-1].Events {
			runs = append(runs, at)
		}
	}
	return runs[max(0, len(runs)-maxStateRuns):]
}

// OpenLog returns a log with nothing in memory, whose content is in o.Save.Source. It has no saver.
// The caller may append events, which are kept in memory.
func OpenLog(o LogOptions, s State) *Log {
	l := newLog(o)
	l.restored = true
	l.end = position{seq: s.End.Seq, events: s.End.Events}
	l.oldest = l.end
	l.counts, l.appended = s.Counts, s.Appended
	for _, m := range s.Events {
		l.evicted = append(l.evicted, eventRun{m.Seq, m.Events})
	}
	for _, n := range s.Notes {
		l.notes = append(l.notes, note{n.Seq, n.Event})
	}
	if s.Recording != nil {
		l.recorder = &recorder{frozen: s.Recording}
	}
	if len(s.Timeline) > 0 {
		l.timeline = &timeline{marks: s.Timeline}
	}
	return l
}
