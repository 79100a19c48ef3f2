package spool

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/stream"
)

// startMeta is the JSON of a start in the journal.
type startMeta struct {
	Owner   string          `json:"owner"`
	ID      string          `json:"id"`
	Name    string          `json:"name,omitempty"`
	Params  []byte          `json:"params"`  // keyed hash
	Session json.RawMessage `json:"session"` // Start.Meta
}

// recordMeta is the JSON of a completion record in the journal.
type recordMeta struct {
	Ended     int64           `json:"ended"`  // in nanoseconds since 1970
	Oldest    stream.Mark     `json:"oldest"` // of what can be read from the disk
	End       stream.Mark     `json:"end"`
	InJournal bool            `json:"in_journal,omitempty"` // the output is the blob of this entry, else in a file
	Session   json.RawMessage `json:"session"`
}

// group is what is written to the journal at once.
type group struct {
	entries []journal.Entry
	of      []work // what each is
}

func (g *group) add(s *Session, t tasks, e journal.Entry) {
	e.Key = s.entry.key
	g.entries, g.of = append(g.entries, e), append(g.of, work{s, t})
}

func (g *group) reset() {
	clear(g.entries)
	clear(g.of)
	g.entries, g.of = g.entries[:0], g.of[:0]
}

// write is worker.do of the writer: output goes to the window, all else to the journal.
func (sp *Spool) write(w *worker, batch []work) {
	g := &sp.group
	defer g.reset()
	for _, x := range batch {
		if x.tasks&taskStart != 0 {
			sp.addStart(g, x.s)
		}
		if x.tasks&taskSave != 0 {
			sp.save(w, x.s)
		}
		if x.tasks&taskFinish != 0 {
			sp.finish(g, x.s)
		}
		if x.tasks&taskRecord != 0 {
			sp.addRecord(g, x.s)
		}
		if x.tasks&taskRemove != 0 {
			g.add(x.s, taskRemove, journal.Entry{Type: journal.Removed})
		}
	}
	if len(g.entries) == 0 {
		return
	}
	var at []journal.Position
	err := w.op(func() (err error) {
		at, err = sp.journal.Append(g.entries)
		return err
	})
	if err != nil {
		sp.warn(err, "journal not written")
	}
	sp.unsynced.Store(true)
	for i, x := range g.of {
		var pos journal.Position
		if err == nil {
			pos = at[i]
		}
		sp.written(w, x, &g.entries[i], pos, err)
	}
}

// addStart adds the start of a session.
func (sp *Spool) addStart(g *group, s *Session) {
	meta, err := s.start.Meta()
	if err == nil {
		e := s.entry
		e.params = sp.hash.Sum(s.start.Params())
		meta, err = json.Marshal(startMeta{Owner: s.start.Owner, ID: e.id, Name: e.name, Params: e.params[:], Session: meta})
	}
	if err != nil {
		s.abandon(err)
		return
	}
	g.add(s, taskStart, journal.Entry{Type: journal.Start, Meta: meta})
}

// addRecord adds the completion record of a session, with its output if that is small.
func (sp *Spool) addRecord(g *group, s *Session) {
	s.state.Lock()
	meta, blob := s.meta, s.blob
	s.state.Unlock()
	if meta == nil { // the session has given up
		return
	}
	oldest, end := s.Bounds()
	if blob != nil {
		oldest, end = stream.Mark{}, s.saver.UnstoredAt()
	}
	meta, err := json.Marshal(recordMeta{
		Ended: time.Now().UnixNano(), Oldest: oldest, End: end, InJournal: blob != nil, Session: meta,
	})
	if err != nil {
		s.recorded()
		return
	}
	g.add(s, taskRecord, journal.Entry{Type: journal.Record, Meta: meta, Blob: blob})
}

// written takes the result of an entry of the journal.
func (sp *Spool) written(w *worker, x work, e *journal.Entry, at journal.Position, err error) {
	s := x.s
	switch {
	case x.tasks == taskRemove:
	case x.tasks == taskStart && err != nil:
		s.abandon(err)
	case x.tasks == taskStart:
		sp.update(s.entry, func(t *entry) { t.start, t.startBytes = at, journal.Size(len(e.Meta), len(e.Blob)) })
		s.state.Lock()
		if !isClosed(s.started) {
			close(s.started)
		}
		s.state.Unlock()
	case err != nil:
		s.recorded()
	default:
		sp.update(s.entry, func(t *entry) {
			t.record, t.recordBytes, t.blob = at, journal.Size(len(e.Meta), len(e.Blob)), int64(len(e.Blob))
			t.ended = time.Now().UnixNano()
		})
		if e.Blob != nil {
			s.inBlob(at)
		}
		sp.releaseWindow(w, s)
		s.recorded()
	}
}

// recorded is called when the record is written, or could not be.
func (s *Session) recorded() {
	s.state.Lock()
	defer s.state.Unlock()
	if !isClosed(s.completed) {
		close(s.completed)
	}
}

// save writes new output of a session to the window.
func (sp *Spool) save(w *worker, s *Session) {
	for s.stoppedBy() == nil {
		b := s.saver.Backlog()
		if b.Excess {
			sp.store(s, taskStore)
		}
		if !b.Unsaved {
			return
		}
		if err := w.op(func() error { return sp.saveNext(s) }); err != nil {
			sp.stop(s, err)
			sp.releaseWindow(w, s)
		}
	}
}

// smallOutput is how much output, in bytes and events, the writer itself puts into the record. A block
// has room for it, whatever it consists of.
const smallOutput = block.MaxEntries

// finish saves the rest of the output of a session that has ended, or leaves that to the storer if it
// takes longer.
func (sp *Spool) finish(g *group, s *Session) {
	if s.saver == nil || s.stoppedBy() != nil {
		sp.addRecord(g, s)
		return
	}
	if s.outputFile() == nil && s.saver.Backlog().Unstored <= smallOutput {
		if _, err := sp.fillBlob(s, sp.small); err != nil {
			sp.stop(s, err)
		}
		sp.addRecord(g, s)
		return
	}
	if !sp.store(s, taskFinish) {
		s.Stop(ErrStalled)
		sp.addRecord(g, s)
	}
}

// fillBlob makes the output of a session a part of its record, unless that is too large.
func (sp *Spool) fillBlob(s *Session, b *block.Builder) (fits bool, err error) {
	b.Reset(s.saver.UnstoredAt(), s.entry.key, time.Now())
	more, err := s.fill(b)
	if err != nil || more {
		return false, err
	}
	if b.Len() > 0 {
		s.state.Lock()
		s.blob = bytes.Clone(b.Encoded())
		s.state.Unlock()
	}
	return true, nil
}

// saveNext writes new output of a session to the window.
func (sp *Spool) saveNext(s *Session) error {
	if s.part != nil {
		s.part.ReleaseBefore(s.storedTo())
	}
	for {
		it, ok := s.saver.NextUnsaved(stream.MaxPiece)
		if !ok {
			break
		}
		if err := sp.saveItem(s, &it); err != nil {
			return err
		}
	}
	if s.part != nil {
		if err := s.part.Flush(); err != nil {
			return err
		}
	}
	s.saver.Saved()
	return nil
}

// saveItem adds an item to the part of the window that the session has.
func (sp *Spool) saveItem(s *Session, it *stream.Item) (err error) {
	if it.Gap {
		return errEvicted
	}
	var event []byte
	if it.Kind == stream.Event {
		if event, err = s.start.Encode(it.Event); err != nil {
			return err
		}
	}
	if s.part != nil && s.part.End().Seq != it.From { // what is in between was stored meanwhile
		if err := s.part.Close(); err != nil {
			return err
		}
		s.part = nil
	}
	if s.part == nil {
		first := stream.Mark{Seq: it.From, Events: s.saver.UnsavedAt().Events}
		if it.Kind == stream.Event {
			first.Events--
		}
		s.part = sp.window.Session(s.entry.key, first)
	}
	return s.part.Add(it, event)
}

// releaseWindow gives up the part of the window that a session has.
func (sp *Spool) releaseWindow(w *worker, s *Session) {
	part := s.part
	if part == nil {
		return
	}
	s.part = nil
	if err := w.op(part.Close); err != nil {
		sp.warn(err, "window not released")
	}
}
