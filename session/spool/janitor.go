package spool

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/journal"
)

const (
	// janitorInterval is the time between two looks at what is to be removed.
	janitorInterval = time.Minute
	// journalShare divides Options.TotalBytes: the journal takes at most that part of it.
	journalShare = 4
	// sparse divides the size of a segment of the journal: if no more than that part of it is needed, what
	// is needed is written again and the segment is removed.
	sparse = 4
)

// tidy is the janitor: it removes what the bounds of the spool no longer permit, and compresses.
func (sp *Spool) tidy(ctx context.Context) {
	t := time.NewTicker(janitorInterval)
	defer t.Stop()
	for {
		sp.tidyOnce(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-sp.untidy:
		}
	}
}

// tidyOnce is one look. What cannot be removed is tried again by the next one.
func (sp *Spool) tidyOnce(ctx context.Context, now time.Time) {
	sp.retryRecords()
	sp.expire(now)
	sp.removeSurplus()
	sp.compactJournal(ctx)
	sp.makeRoom(0, func(f func() error) error { return f() })
	sp.compressEnded(ctx, now)
}

// kick makes the janitor look now.
func (sp *Spool) kick() {
	select {
	case sp.untidy <- struct{}{}:
	default:
	}
}

// retryRecords writes the records that could not be written.
func (sp *Spool) retryRecords() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, e := range sp.index.byKey {
		e.stuck = false
	}
	for _, s := range sp.open {
		if s.isUnrecorded() {
			sp.writer.add(s, taskRecord)
		}
	}
}

// expire removes the sessions that have been kept for Options.Retain.
func (sp *Spool) expire(now time.Time) {
	limit := now.Add(-sp.o.Retain).UnixNano()
	sp.mu.Lock()
	expired := sp.index.where(func(e *entry) bool { return !e.open && e.ended != 0 && e.ended <= limit })
	sp.mu.Unlock()
	for _, e := range expired {
		if err := sp.remove(e, false); err != nil {
			sp.warn(err, "expired session not removed")
		}
	}
}

// surplusShare divides Options.MaxSessions: that part of it is removed, besides what is beyond it, so that
// the janitor need not look for each session that begins.
const surplusShare = 100

// removeSurplus removes sessions beyond Options.MaxSessions: each time the oldest of the owner that has
// most.
func (sp *Spool) removeSurplus() {
	sp.mu.Lock()
	var surplus []*entry
	if n := len(sp.index.byKey); n > sp.o.MaxSessions {
		surplus = sp.index.surplus(n - sp.o.MaxSessions + sp.o.MaxSessions/surplusShare)
	}
	sp.mu.Unlock()
	for _, e := range surplus {
		if err := sp.remove(e, true); err != nil {
			sp.warn(err, "session not removed")
		}
	}
}

// remove removes a session that has ended. If erase is set, its entries in the journal are erased;
// otherwise they stay until their segments are removed, those of the start first.
func (sp *Spool) remove(e *entry, erase bool) error {
	for dropped := false; !dropped; { // again if compress has replaced the file meanwhile
		if err := sp.removeOutput(e); err != nil {
			return err
		}
		sp.mu.Lock()
		if e.gone {
			sp.mu.Unlock()
			return nil
		}
		if e.output == 0 {
			dropped = sp.drop(e)
		}
		sp.mu.Unlock()
	}
	if !erase && e.start.Segment <= e.record.Segment {
		return nil
	}
	var errs []error
	for _, x := range []struct {
		at journal.Position
		n  int64
	}{{e.record, e.recordBytes}, {e.start, e.startBytes}} {
		if x.n > 0 {
			errs = append(errs, sp.journal.Erase(x.at))
		}
	}
	sp.unsynced.Store(true)
	return errors.Join(errs...)
}

// compactJournal removes the oldest segments of the journal that are not needed. What is needed of one
// of which little is, or that has to go because the journal is too large, is written again.
func (sp *Spool) compactJournal(ctx context.Context) {
	all := sp.journal.Segments()
	for _, oldest := range all[:max(len(all)-1, 0)] {
		sp.mu.Lock()
		needed := sp.segments[oldest.ID]
		sp.mu.Unlock()
		tooLarge := sp.journal.Bytes() > sp.o.TotalBytes/journalShare
		if ctx.Err() != nil || !tooLarge && needed > oldest.Bytes/sparse {
			return
		}
		if err := sp.emptySegment(ctx, oldest.ID, tooLarge); err != nil {
			sp.warn(err, "journal not compacted")
			return
		}
		if err := sp.writer.call(func() error { return sp.journal.Remove(oldest.ID) }); err != nil {
			sp.warn(err, "segment of the journal not removed")
			return
		}
		sp.mu.Lock()
		delete(sp.segments, oldest.ID)
		sp.mu.Unlock()
	}
}

// emptySegment writes again what is needed of a segment. If tooLarge is set, it removes the sessions
// of the owner that takes most of the journal instead.
func (sp *Spool) emptySegment(ctx context.Context, id uint32, tooLarge bool) error {
	sp.mu.Lock()
	in := sp.index.where(func(e *entry) bool {
		return e.startBytes > 0 && e.start.Segment == id || e.recordBytes > 0 && e.record.Segment == id
	})
	sp.mu.Unlock()
	slices.SortFunc(in, func(a, b *entry) int { return cmp.Compare(a.key, b.key) })
	for _, e := range in {
		if err := ctx.Err(); err != nil {
			return err
		}
		if tooLarge && sp.isHeaviest(e) {
			if err := sp.remove(e, false); err != nil {
				return err
			}
			continue
		}
		err := sp.writer.call(func() error { return sp.rewrite(e) })
		if errors.Is(err, journal.ErrDamaged) { // it is lost, but not the others
			sp.warn(err, "session in the journal not readable")
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isHeaviest reports whether a session has ended and its owner takes most of the journal.
func (sp *Spool) isHeaviest(e *entry) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return !e.open && e.ended != 0 && e.owner == sp.index.most(func(o *owner) int64 { return o.journal })
}

// rewrite appends copies of the entries of a session to the journal, both, so that the start remains
// before the record, and erases the old ones. It is called by the writer.
func (sp *Spool) rewrite(e *entry) error {
	sp.mu.Lock()
	old := *e
	sp.mu.Unlock()
	if old.gone {
		return nil
	}
	var entries []journal.Entry
	from := []journal.Position{old.start, old.record}
	for i, n := range []int64{old.startBytes, old.recordBytes} {
		if n == 0 {
			continue
		}
		copied, err := sp.readEntry([]journal.Type{journal.Start, journal.Record}[i], old.key, from[i])
		if err != nil {
			return err
		}
		entries = append(entries, copied)
	}
	at, err := sp.journal.Append(entries)
	if err != nil {
		return err
	}
	sp.unsynced.Store(true)
	sp.update(e, func(e *entry) {
		if old.startBytes > 0 {
			e.start, at = at[0], at[1:]
		}
		if old.recordBytes > 0 {
			e.record = at[0]
		}
	})
	return errors.Join(sp.eraseOld(old.startBytes, old.start), sp.eraseOld(old.recordBytes, old.record))
}

// eraseOld erases an entry that was copied: if the session is forgotten, only the copy is erased.
func (sp *Spool) eraseOld(n int64, at journal.Position) error {
	if n == 0 {
		return nil
	}
	return sp.journal.Erase(at)
}

// readEntry reads an entry of the journal.
func (sp *Spool) readEntry(t journal.Type, key int64, at journal.Position) (e journal.Entry, err error) {
	e = journal.Entry{Type: t, Key: key}
	if e.Meta, err = sp.journal.ReadMeta(at); err == nil {
		e.Blob, err = sp.journal.ReadBlob(at)
	}
	return e, err
}
