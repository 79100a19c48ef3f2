package stream

// maxBlock is the most charged bytes that a saver is expected to store at once.
const maxBlock = 512 << 10

// SaveOptions make a log one whose content is saved.
type SaveOptions struct {
	// Wake is called when [Saver.Backlog] has something to do, after it had nothing. It is called
	// with the log's lock held and must neither block nor call the log.
	Wake func()
	// Source has what was stored; nil if nothing can be read back.
	Source Source
}

// Saver gives what is appended to a log to those who save it, twice: NextUnsaved returns everything
// soon, and Saved makes it visible to the cursors. NextUnstored returns it for the [Source], in
// larger blocks, and only what Stored has confirmed is evicted. What is confirmed by Stored need
// not be saved.
//
// Cursors do not get what is neither saved nor stored, except for an event at position 0, which is
// visible at once. Notes are not given to the saver. Append waits while too much is not stored: two
// blocks more than the log may hold. A block is 512 KiB, or what the log may hold if that is less.
//
// NextUnsaved and Saved must not be called concurrently with each other, nor NextUnstored and
// Stored, nor Release with any of them.
type Saver struct {
	log    *Log
	wake   func()
	source Source

	// The log's lock protects the fields below.
	idle     bool // call wake when there is something to do
	stopped  bool
	shown    position // what the cursors may read ends here
	stored   position // what may be evicted ends here
	removed  Mark     // what the source has removed ends here
	unsaved  savePoint
	unstored savePoint
	resumeAt int64 // the appends that wait are woken when no more than this is not stored
	settling []settling
}

// settling is a channel that is closed when everything up to seq is visible.
type settling struct {
	seq     int64
	settled chan struct{}
}

// newSaver returns the saver of an empty log.
func newSaver(l *Log, o *SaveOptions) *Saver {
	return &Saver{log: l, wake: o.Wake, source: o.Source, idle: true}
}

// Saver returns the saver of the log, or nil if it has none.
func (l *Log) Saver() *Saver { return l.saver }

// active reports whether content waits for the saver. A nil saver is not active.
func (v *Saver) active() bool { return v != nil && !v.stopped }

// Backlog is what a saver is to do.
type Backlog struct {
	Unsaved  int64 // bytes of output and events that NextUnsaved has
	Excess   bool  // memory runs short: a block is to be stored
	Unstored int64 // bytes of output and events that NextUnstored has
}

// Backlog returns what there is to do. If nothing is Unsaved and there is no Excess, Wake is called later.
func (v *Saver) Backlog() Backlog {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	if v.stopped {
		return Backlog{}
	}
	b := v.backlog()
	v.idle = b.Unsaved == 0 && !b.Excess
	return b
}

func (v *Saver) backlog() Backlog {
	l := v.log
	share := l.share()
	return Backlog{
		Unsaved:  max(0, l.end.seq-max(v.unsaved.at.seq, v.shown.seq)),
		Excess:   l.end.charge-v.unstored.at.charge >= share+block(share),
		Unstored: l.end.seq - v.unstored.at.seq,
	}
}

// block returns the size in charged bytes of a block for a log that may hold share.
func block(share int64) int64 { return min(share, maxBlock) }

// notify calls wake if there is something to do.
func (v *Saver) notify() {
	if !v.idle || v.stopped {
		return
	}
	if b := v.backlog(); b.Unsaved > 0 || b.Excess {
		v.idle = false
		v.wake()
	}
}

// NextUnsaved returns what follows the newest item that it has returned, unless that was stored
// meanwhile: an event, or output of one kind, at most n bytes, n > 0, cut like in
// [Cursor.NextUpTo]. The data is valid until the next NextUnsaved, Saved or Release. A gap is what
// the log had to evict before it was stored; only appends that do not wait cause it, at the end of
// a session.
func (v *Saver) NextUnsaved(n int64) (Item, bool) {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	if v.stopped {
		return Item{}, false
	}
	if v.unsaved.at.seq < v.stored.seq {
		v.unsaved.moveTo(v.log, v.stored)
	}
	return v.unsaved.next(v.log, n)
}

// Saved makes everything that NextUnsaved has returned visible to the cursors.
func (v *Saver) Saved() {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	v.unsaved.release()
	v.show(v.unsaved.at)
}

// NextUnstored is NextUnsaved for the source. The data is valid until the next NextUnstored, Stored
// or Release.
func (v *Saver) NextUnstored(n int64) (Item, bool) {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	if v.stopped {
		return Item{}, false
	}
	return v.unstored.next(v.log, n)
}

// Stored makes everything that NextUnstored has returned visible to the cursors, and allows to
// evict it. The source must be able to return it.
func (v *Saver) Stored() {
	l := v.log
	l.mu.Lock()
	defer l.mu.Unlock()
	v.unstored.release()
	if v.stopped {
		return
	}
	v.stored = v.unstored.at
	v.show(v.stored)
	l.trim(0)
	if l.wakeup != nil && v.backlogCharge() <= v.resumeAt {
		l.wakeAppenders()
	}
}

// Release ends the use of the data of the newest items.
func (v *Saver) Release() {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	v.unsaved.release()
	v.unstored.release()
}

// UnsavedAt returns where NextUnsaved continues.
func (v *Saver) UnsavedAt() Mark {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	return v.unsaved.at.mark()
}

// UnstoredAt returns where NextUnstored continues.
func (v *Saver) UnstoredAt() Mark {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	return v.unstored.at.mark()
}

// Stop ends the saving: everything is visible and nothing waits for the saver any more. Nothing
// more is returned for saving. What was stored can still be read from the source. Stop may be
// called at any time, and again.
func (v *Saver) Stop() {
	l := v.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.stopped {
		return
	}
	v.stopped = true
	l.shown = everything
	v.settle()
	l.wakeCursors(Event)
	l.wakeAppenders()
}

// Removed tells that the source has removed what is before oldest. As far as no cursor had read it,
// it counts as lost. It may be called at any time.
func (v *Saver) Removed(oldest Mark) {
	l := v.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest.Seq <= v.removed.Seq {
		return
	}
	from := Mark{max(v.removed.Seq, min(l.furthestRead, oldest.Seq)), 0}
	to := oldest
	if l.oldest.seq < to.Seq { // memory still has the rest: it may be lost when it is evicted
		to = l.oldest.mark()
	}
	if from.Seq < to.Seq {
		from.Events = l.eventsBefore(from.Seq)
		l.counts.Lost += max(0, to.Seq-from.Seq-(to.Events-from.Events))
	}
	v.removed = oldest
}

// show makes what is before to visible.
func (v *Saver) show(to position) {
	if v.stopped || to.seq <= v.shown.seq {
		return
	}
	kind := Stdout
	if to.events > v.shown.events || v.log.hasNote(v.shown.seq, to.seq) {
		kind = Event
	}
	v.shown = to
	v.log.shown = to.seq
	v.settle()
	v.log.wakeCursors(kind)
}

// backlogCharge returns how many charged bytes are not stored.
func (v *Saver) backlogCharge() int64 { return v.log.end.charge - v.stored.charge }

// maxBacklog returns from how many charged bytes on that are not stored the appends wait, for a log
// that may hold share.
func maxBacklog(share int64) int64 { return share + 2*block(share) }

// Settled returns a channel that is closed when everything up to seq is visible to cursors, or nil
// if it is.
func (l *Log) Settled(seq int64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq <= l.shown {
		return nil
	}
	s := settling{seq, make(chan struct{})}
	l.saver.settling = append(l.saver.settling, s)
	return s.settled
}

// settle closes the channels of Settled up to what is visible.
func (v *Saver) settle() {
	waiting := v.settling[:0]
	for _, s := range v.settling {
		if s.seq <= v.log.shown {
			close(s.settled)
		} else {
			waiting = append(waiting, s)
		}
	}
	clear(v.settling[len(waiting):])
	v.settling = waiting
}
