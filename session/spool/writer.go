package spool

import (
	"bytes"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/stream"
)

// group is what is written to the journal at once.
type group struct {
	entries []journal.Entry
	of      []work // what each is
	from    []int  // of which work of the batch
	i       int    // of the work for which entries are added
	bytes   int    // of the entries
}

// groupBytes is the size of a group that is written at once, apart from its last entry.
const groupBytes = 4 << 20

// add adds an entry, unless it is one that the journal refuses: it would refuse the others, too.
func (g *group) add(s *Session, t tasks, e journal.Entry) error {
	e.Key = s.entry.key
	if err := e.Check(); err != nil {
		return err
	}
	g.bytes += len(e.Meta) + len(e.Blob)
	g.entries, g.of = append(g.entries, e), append(g.of, work{s, t})
	g.from = append(g.from, g.i)
	return nil
}

func (g *group) reset() {
	clear(g.entries)
	clear(g.of)
	g.entries, g.of, g.from, g.bytes = g.entries[:0], g.of[:0], g.from[:0], 0
}

// write is worker.do of the writer: output goes to the window, all else to the journal.
func (sp *Spool) write(w *worker, batch []work) {
	g := &sp.group
	for i, x := range batch {
		before := len(g.entries)
		g.i = i
		sp.writeOne(w, g, x)
		if len(g.entries) == before {
			w.finished(i)
		}
		if g.bytes >= groupBytes {
			sp.writeGroup(w, g)
		}
	}
	sp.writeGroup(w, g)
}

// writeGroup writes a group to the journal, and empties it.
func (sp *Spool) writeGroup(w *worker, g *group) {
	if len(g.entries) == 0 {
		return
	}
	defer g.reset()
	at, err := sp.appendGroup(w, g)
	for i, x := range g.of {
		var pos journal.Position
		if err == nil {
			pos = at[i]
		}
		sp.written(w, x, &g.entries[i], pos, err)
		w.finished(g.from[i])
	}
}

// writeOne does what is to be done for a session, or adds it to the group.
func (sp *Spool) writeOne(w *worker, g *group, x work) {
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
		sp.addRemoved(w, g, x.s)
	}
}

// appendGroup writes the group to the journal. If there is no room for it, output in records is left out.
func (sp *Spool) appendGroup(w *worker, g *group) (at []journal.Position, err error) {
	write := func() (err error) {
		at, err = sp.journal.Append(g.entries)
		return err
	}
	if err = w.op(write); err != nil && sp.dropBlobs(g, err) {
		err = w.op(write)
	}
	sp.unsynced.Store(true)
	if err != nil {
		sp.warn(err, "journal not written")
		return nil, err
	}
	if newest := at[0].Segment; newest != sp.segment {
		sp.segment = newest
		sp.kick() // the journal may be too large
	}
	return at, nil
}

// dropBlobs removes the output from the records of a group, and reports whether there was any.
func (sp *Spool) dropBlobs(g *group, why error) (any bool) {
	for i := range g.entries {
		if g.entries[i].Blob == nil {
			continue
		}
		s := g.of[i].s
		s.state.Lock()
		s.blob = nil
		s.state.Unlock()
		sp.stop(s, why)
		meta, err := s.recordMeta()
		if err != nil {
			continue
		}
		g.entries[i].Meta, g.entries[i].Blob = meta, nil
		any = true
	}
	return any
}

// addStart adds the start of a session.
func (sp *Spool) addStart(g *group, s *Session) {
	if s.isAbandoned() {
		s.abandon(ErrRemoved)
		return
	}
	meta, err := s.start.Meta()
	if err == nil {
		e := s.entry
		e.params = sp.hash.Sum(s.start.Params())
		meta, err = JSON(startMeta{Owner: s.start.Owner, ID: e.id, Name: e.name, Params: e.params[:], Session: meta})
	}
	if err == nil {
		err = g.add(s, taskStart, journal.Entry{Type: journal.Start, Meta: meta})
	}
	if err != nil {
		sp.warn(err, "start not written")
		s.abandon(err)
	}
}

// addRecord adds the completion record of a session, with its output if that is small.
func (sp *Spool) addRecord(g *group, s *Session) {
	s.state.Lock()
	none := s.recorded || s.unwritten || s.discarded
	blob := s.blob
	s.state.Unlock()
	if none || s.inGroup {
		return
	}
	meta, err := s.recordMeta()
	if err == nil {
		err = g.add(s, taskRecord, journal.Entry{Type: journal.Record, Meta: meta, Blob: blob})
	}
	if err != nil {
		sp.warn(err, "record not written")
		s.goOn()
		return
	}
	s.inGroup = true
}

// recordMeta returns the meta of the completion record.
func (s *Session) recordMeta() ([]byte, error) {
	s.state.Lock()
	meta, inJournal := s.meta, s.blob != nil
	s.state.Unlock()
	oldest, end := s.Bounds()
	if inJournal {
		oldest, end = stream.Mark{}, s.saver.UnstoredAt()
	}
	return JSON(recordMeta{
		Ended: time.Now().UnixNano(), Oldest: oldest, End: end, InJournal: inJournal, Session: meta,
	})
}

// addRemoved adds that a session is removed, if its start is written.
func (sp *Spool) addRemoved(w *worker, g *group, s *Session) {
	sp.releaseWindow(w, s)
	if s.startAt != (journal.Position{}) {
		_ = g.add(s, taskRemove, journal.Entry{Type: journal.Removed}) // it is small
	}
}

// written takes the result of an entry of the journal.
func (sp *Spool) written(w *worker, x work, e *journal.Entry, at journal.Position, err error) {
	switch s := x.s; x.tasks {
	case taskRemove:
		if err != nil { // this needs no room on the disk
			err = w.op(func() error { return sp.journal.Erase(s.startAt) })
		}
		if err != nil {
			sp.warn(err, "start of a command that did not run not removed")
		}
	case taskStart:
		sp.startWritten(w, s, e, at, err)
	case taskRecord:
		sp.recordWritten(w, s, e, at, err)
	}
}

func (sp *Spool) startWritten(w *worker, s *Session, e *journal.Entry, at journal.Position, err error) {
	if err != nil {
		s.abandon(err)
		sp.releaseWindow(w, s)
		return
	}
	s.startAt = at
	sp.update(s.entry, func(t *entry) { t.start, t.startBytes = at, journal.Size(len(e.Meta), len(e.Blob)) })
	s.state.Lock()
	abandoned := s.unwritten || s.discarded
	if !isClosed(s.started) {
		close(s.started)
	}
	s.state.Unlock()
	if abandoned { // meanwhile
		w.add(s, taskRemove)
	}
}

// recordWritten is called when a record is written, or could not be; then the janitor tries it again.
func (sp *Spool) recordWritten(w *worker, s *Session, e *journal.Entry, at journal.Position, err error) {
	s.inGroup = false
	if err != nil {
		s.goOn()
		return
	}
	size := journal.Size(len(e.Meta), len(e.Blob))
	sp.update(s.entry, func(t *entry) { t.setRecord(at, size, len(e.Blob), time.Now().UnixNano()) })
	if e.Blob != nil {
		s.inBlob()
	}
	sp.releaseWindow(w, s)
	s.state.Lock()
	s.recorded, s.blob = true, nil
	closed := s.closed
	s.state.Unlock()
	s.goOn()
	if closed { // Complete did not wait
		sp.closeEntry(s.entry)
	}
}

// saveBytes is how much of one session is saved before others have their turn.
const saveBytes = 4 << 20

// save writes new output of a session to the window.
func (sp *Spool) save(w *worker, s *Session) {
	if s.saver == nil || s.stoppedBy() != nil {
		return
	}
	b := s.saver.Backlog()
	direct := s.inFile && sp.storesDirectly(&b)
	if b.Excess || direct {
		s.inFile = true
		if !sp.store(s, taskStore) {
			sp.stop(s, ErrStalled)
			return
		}
	}
	if b.Unsaved == 0 || direct {
		return
	}
	if err := w.op(func() error { return sp.saveNext(s) }); err != nil {
		sp.stop(s, err)
		sp.releaseWindow(w, s)
		return
	}
	if !w.add(s, taskSave) { // again, until nothing is unsaved
		sp.stop(s, ErrStalled)
	}
}

// smallOutput is how much output, in bytes and events, the writer itself puts into the record. A block
// has room for it, whatever it consists of.
const smallOutput = block.MaxEntries

// finish saves the rest of the output of a session that has ended, or leaves that to the storer if it
// takes longer.
func (sp *Spool) finish(g *group, s *Session) {
	save := s.saver != nil && s.stoppedBy() == nil
	if s.inFile || save && s.saver.Backlog().Unstored > smallOutput { // the storer also finishes the file
		if sp.store(s, taskFinish) {
			return
		}
		s.Stop(ErrStalled)
	} else if save {
		fits, err := sp.fillBlob(s, sp.small)
		if err == nil && !fits {
			err = block.ErrFull
		}
		if err != nil {
			sp.stop(s, err)
		}
	}
	sp.addRecord(g, s)
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
	for saved := int64(0); saved < saveBytes; {
		it, ok := s.saver.NextUnsaved(stream.MaxPiece)
		if !ok {
			break
		}
		if err := sp.saveItem(s, &it); err != nil {
			return err
		}
		saved += it.To - it.From
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
	if s.part == nil || s.part.End().Seq != it.From {
		first := stream.Mark{Seq: it.From, Events: s.saver.UnsavedAt().Events}
		if it.Kind == stream.Event {
			first.Events--
		}
		if s.part == nil {
			s.part = sp.window.Session(s.entry.key, first)
		} else {
			s.part.Skip(first) // what is in between was stored meanwhile
		}
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
