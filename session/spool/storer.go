package spool

import (
	"errors"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/stream"
)

// store gives a task to the storer of a session.
func (sp *Spool) store(s *Session, t tasks) bool {
	return sp.storers[uint64(s.entry.key)%uint64(len(sp.storers))].add(s, t)
}

// storeAll is worker.do of a storer, with the builder of its blocks: output goes to the files of the
// sessions.
func (sp *Spool) storeAll(b *block.Builder) func(*worker, []work) {
	return func(w *worker, batch []work) {
		for i, x := range batch {
			x.s.use()
			sp.storeOne(w, b, x)
			x.s.release()
			w.finished(i)
		}
	}
}

// storeOne does what is to be done for a session. An error of the disk ends its saving.
func (sp *Spool) storeOne(w *worker, b *block.Builder, x work) {
	s := x.s
	if x.tasks&taskShrink != 0 { // also if the saving has ended
		if err := sp.halve(w, s); err != nil {
			sp.stop(s, err)
		}
	}
	if s.stoppedBy() == nil {
		store := sp.storeNext
		if x.tasks&taskFinish != 0 {
			store = sp.storeRest
		}
		if err := store(w, b, s); err != nil {
			sp.stop(s, err)
		}
	}
	if x.tasks&taskFinish == 0 {
		return
	}
	if err := sp.finishFile(w, s); err != nil {
		sp.warn(err, "index of an output file not written")
	}
	if !sp.writer.add(s, taskRecord) {
		s.goOn()
	}
}

// storeNext writes a block of a session. If there is more, the session is in the queue again, so that
// others have their turn.
func (sp *Spool) storeNext(w *worker, b *block.Builder, s *Session) error {
	backlog := s.saver.Backlog()
	if backlog.Excess {
		if _, err := sp.storeBlock(w, b, s); err != nil {
			return err
		}
		backlog = s.saver.Backlog()
	}
	if backlog.Excess && !w.add(s, taskStore) || backlog.Unsaved && !sp.writer.add(s, taskSave) {
		return ErrStalled
	}
	return nil
}

// storeRest writes all that is not stored of a session that has ended, to its file, or if it has none and
// one block is enough, to the record.
func (sp *Spool) storeRest(w *worker, b *block.Builder, s *Session) error {
	if s.outputFile() == nil {
		if fits, err := sp.fillBlob(s, b); fits || err != nil {
			return err
		}
		if err := sp.append(w, b, s); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = sp.storeBlock(w, b, s); err != nil {
			return err
		}
		if err := s.stoppedBy(); err != nil {
			return err
		}
	}
	return nil
}

// finishFile writes the index of the file, or removes a file to which nothing could be written.
func (sp *Spool) finishFile(w *worker, s *Session) error {
	f := s.outputFile()
	if f == nil {
		return nil
	}
	if oldest, end := s.Bounds(); oldest == end {
		return w.op(func() error { return sp.disk.Remove(sp.outputPath(s.entry)) })
	}
	err := w.op(f.Finish)
	sp.update(s.entry, func(e *entry) { e.output = f.Bytes() })
	return err
}

// storeBlock writes what is not stored, up to a block, and reports whether there is more.
func (sp *Spool) storeBlock(w *worker, b *block.Builder, s *Session) (more bool, err error) {
	b.Reset(s.saver.UnstoredAt(), s.entry.key, time.Now())
	more, err = s.fill(b)
	if err != nil || b.Len() == 0 {
		return false, err
	}
	return more, sp.append(w, b, s)
}

// append appends a block to the file of a session.
func (sp *Spool) append(w *worker, b *block.Builder, s *Session) error {
	text := b.Finish()
	sp.makeRoom(int64(len(text)), w.op)
	err := w.op(func() error {
		f, err := sp.openOutput(s)
		if err == nil {
			err = f.Append(text)
		}
		return err
	})
	if err != nil {
		return err
	}
	f := s.outputFile()
	s.fileGrew(b.End())
	sp.update(s.entry, func(e *entry) { e.output = f.Bytes() })
	s.saver.Stored()
	if f.Bytes() <= sp.o.SessionBytes {
		return nil
	}
	return w.op(func() error { return sp.shrink(s, f, sp.o.SessionBytes) })
}

// fill adds to a block what is not stored, and reports whether there is more.
func (s *Session) fill(b *block.Builder) (more bool, err error) {
	for b.Room() > MaxEvent {
		it, ok := s.saver.NextUnstored(int64(b.Room()))
		if !ok {
			return false, nil
		}
		if it.Gap {
			return false, errEvicted
		}
		var event []byte
		if it.Kind == stream.Event {
			if event, err = s.start.Encode(it.Event); err != nil {
				return false, err
			}
		}
		if err = b.Add(&it, event); err != nil {
			return false, err
		}
	}
	return true, nil
}

// errEvicted means that a log had to evict output before it was stored. It happens only if the disk is
// slow at the end of a session, whose last output does not wait.
var errEvicted = errors.New("output was removed from memory before it was stored")

// openOutput returns the session's output file, which it makes if there is none.
func (sp *Spool) openOutput(s *Session) (*outputfile.File, error) {
	if f := s.outputFile(); f != nil {
		return f, nil
	}
	f, err := outputfile.Create(sp.disk, sp.outputPath(s.entry), s.entry.key)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
	return f, nil
}

// halve removes the older half of the file of a session.
func (sp *Spool) halve(w *worker, s *Session) error {
	f := s.outputFile()
	if f == nil {
		return nil
	}
	return w.op(func() error { return sp.shrink(s, f, f.Bytes()/2) })
}

// shrink removes the oldest output of a running session until its file has at most that many bytes. Only
// its storer calls it.
func (sp *Spool) shrink(s *Session, f *outputfile.File, most int64) error {
	oldest, err := f.RemoveUntil(most)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.oldest = oldest
	s.mu.Unlock()
	sp.update(s.entry, func(e *entry) { e.output = f.Bytes() })
	s.saver.Removed(oldest)
	return nil
}
