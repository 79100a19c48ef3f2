package spool

import (
	"context"
	"encoding/json"
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
		sp.expire(time.Now())
		sp.removeSurplus()
		sp.compactJournal()
		sp.compressEnded(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-sp.untidy:
		}
	}
}

// kick makes the janitor look now.
func (sp *Spool) kick() {
	select {
	case sp.untidy <- struct{}{}:
	default:
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
			return
		}
	}
}

// removeSurplus removes sessions beyond Options.MaxSessions: each time the oldest of the owner that has
// most.
func (sp *Spool) removeSurplus() {
	for {
		sp.mu.Lock()
		var e *entry
		if len(sp.index.byKey) > sp.o.MaxSessions {
			if o := sp.index.most(func(o *owner) int64 { return int64(o.count()) }); o != nil {
				e = o.oldestEnded(func(*entry) bool { return true })
			}
		}
		sp.mu.Unlock()
		if e == nil {
			return
		}
		if err := sp.remove(e, true); err != nil {
			sp.warn(err, "session not removed")
			return
		}
	}
}

// remove removes a session that has ended. If erase is set, its entries in the journal are erased;
// otherwise they stay until their segment is removed.
func (sp *Spool) remove(e *entry, erase bool) error {
	if e.output > 0 {
		if err := sp.removeOutput(e); err != nil {
			return err
		}
	}
	sp.mu.Lock()
	was := sp.drop(e)
	sp.mu.Unlock()
	if !was || !erase {
		return nil
	}
	for _, x := range []struct {
		at journal.Position
		n  int64
	}{{e.record, e.recordBytes}, {e.start, e.startBytes}} {
		if x.n > 0 {
			if err := sp.journal.Erase(x.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// compactJournal removes the oldest segments of the journal that are not needed. What is needed of one
// of which little is, or that has to go because the journal is too large, is written again.
func (sp *Spool) compactJournal() {
	for {
		all := sp.journal.Segments()
		if len(all) < 2 {
			return
		}
		oldest := all[0]
		sp.mu.Lock()
		needed := sp.segments[oldest.ID]
		sp.mu.Unlock()
		tooLarge := sp.journal.Bytes() > sp.o.TotalBytes/journalShare
		if !tooLarge && needed > oldest.Bytes/sparse {
			return
		}
		if err := sp.emptySegment(oldest.ID, tooLarge); err != nil {
			sp.warn(err, "journal not compacted")
			return
		}
		var err error
		if !sp.writer.call(func() { err = sp.journal.Remove(oldest.ID) }) {
			err = ErrStalled
		}
		if err != nil {
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
func (sp *Spool) emptySegment(id uint32, tooLarge bool) error {
	sp.mu.Lock()
	in := sp.index.where(func(e *entry) bool {
		return e.startBytes > 0 && e.start.Segment == id || e.recordBytes > 0 && e.record.Segment == id
	})
	var heaviest *owner
	if tooLarge {
		heaviest = sp.index.most(func(o *owner) int64 { return o.journal })
	}
	sp.mu.Unlock()
	for _, e := range in {
		if e.owner == heaviest && !e.open {
			if err := sp.remove(e, false); err != nil {
				return err
			}
			continue
		}
		if err := sp.rewrite(e, id); err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes the entries of a session that are in a segment to the newest segment.
func (sp *Spool) rewrite(e *entry, id uint32) (err error) {
	called := sp.writer.call(func() {
		sp.mu.Lock()
		now := *e
		sp.mu.Unlock()
		if now.gone {
			return
		}
		if now.startBytes > 0 && now.start.Segment == id {
			if err = sp.copyEntry(journal.Start, now.key, now.start, func(at journal.Position, n int64) {
				sp.update(e, func(e *entry) { e.start, e.startBytes = at, n })
			}); err != nil {
				return
			}
		}
		if now.recordBytes > 0 && now.record.Segment == id {
			err = sp.copyEntry(journal.Record, now.key, now.record, func(at journal.Position, n int64) {
				sp.update(e, func(e *entry) { e.record, e.recordBytes = at, n })
			})
		}
	})
	if !called {
		return ErrStalled
	}
	return err
}

// copyEntry appends a copy of an entry. It is called by the writer.
func (sp *Spool) copyEntry(t journal.Type, key int64, from journal.Position, moved func(journal.Position, int64)) error {
	meta, err := sp.journal.ReadMeta(from)
	if err != nil {
		return err
	}
	copied := journal.Entry{Type: t, Key: key, Meta: meta}
	if t == journal.Record {
		if copied.Blob, err = sp.journal.ReadBlob(from); err != nil {
			return err
		}
	}
	return sp.writer.op(func() error {
		at, err := sp.journal.Append([]journal.Entry{copied})
		if err == nil {
			moved(at[0], journal.Size(len(copied.Meta), len(copied.Blob)))
		}
		return err
	})
}

// parseStart returns the JSON of a start.
func parseStart(meta []byte) (m startMeta, err error) {
	err = json.Unmarshal(meta, &m)
	return m, err
}

func parseRecord(meta []byte) (m recordMeta, err error) {
	err = json.Unmarshal(meta, &m)
	return m, err
}
