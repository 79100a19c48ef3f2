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

// blocks makes the blocks that a storer writes at once, in memory that direct I/O can use.
type blocks struct {
	*block.Builder
	memory []byte
	size   int // of a block, at most
}

// storedAtOnce is how many blocks a storer writes at once: with larger writes it waits less often.
const storedAtOnce = outputfile.MaxAppended

func newBlocks(memory []byte, size int) *blocks {
	return &blocks{block.NewBuilderIn(memory[:size]), memory, size}
}

// storeAll is worker.do of a storer, with the memory of its blocks: output goes to the files of the
// sessions.
func (sp *Spool) storeAll(b *blocks) func(*worker, []work) {
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
func (sp *Spool) storeOne(w *worker, b *blocks, x work) {
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

// storeNext writes blocks of a session. If there is more, the session is in the queue again, so that
// others have their turn.
func (sp *Spool) storeNext(w *worker, b *blocks, s *Session) error {
	backlog := s.saver.Backlog()
	if backlog.Excess || sp.storesDirectly(&backlog) {
		if _, err := sp.storeBlocks(w, b, s); err != nil {
			return err
		}
		backlog = s.saver.Backlog()
	}
	direct := sp.storesDirectly(&backlog)
	switch {
	case backlog.Excess || direct && backlog.Unstored >= int64(b.size):
		if !w.add(s, taskStore) {
			return ErrStalled
		}
	case direct:
		sp.storeLater(w, s)
	case backlog.Unsaved > 0:
		if !sp.writer.add(s, taskSave) {
			return ErrStalled
		}
	}
	return nil
}

// storeLater lets more output come, which is stored with the same write.
func (sp *Spool) storeLater(w *worker, s *Session) {
	if !s.later.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(directDelay, func() {
		s.later.Store(false)
		if !w.add(s, taskStore) {
			sp.stop(s, ErrStalled)
		}
	})
}

const (
	// directBytes is how much new output of a session that has a file is stored at once, instead of
	// being saved in the window before.
	directBytes = 64 << 10
	// maxStoredBefore is how much older output, which the window has, may have to be stored before.
	maxStoredBefore = 2 << 20
	// directDelay is how long after a write the storer waits for so much output that it fills a block.
	directDelay = 200 * time.Microsecond
	// maxDirectWithin bounds how long a write may take for that. Cursors get nothing meanwhile.
	maxDirectWithin = 5 * time.Millisecond
)

// storesDirectly reports whether the new output of a session that has a file is to be stored at once. If
// much else is to be stored before, it goes to the window.
func (sp *Spool) storesDirectly(b *stream.Backlog) bool {
	if b.Unstored-b.Unsaved >= maxStoredBefore {
		return false
	}
	return b.Unsaved >= directBytes && sp.blockTime.Load() < int64(sp.directWithin)
}

// storeRest writes all that is not stored of a session that has ended, to its file, or if it has none and
// one block is enough, to the record.
func (sp *Spool) storeRest(w *worker, b *blocks, s *Session) error {
	if s.outputFile() == nil {
		b.Use(b.memory[:b.size])
		if fits, err := sp.fillBlob(s, b.Builder); fits || err != nil {
			return err
		}
		if err := sp.append(w, s, b.Finish(), b.End()); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = sp.storeBlocks(w, b, s); err != nil {
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

// storeBlocks writes what is not stored, up to storedAtOnce blocks, and reports whether there is more.
func (sp *Spool) storeBlocks(w *worker, b *blocks, s *Session) (more bool, err error) {
	var end stream.Mark
	n := 0
	for range storedAtOnce {
		b.Use(b.memory[n:][:b.size])
		b.Reset(s.saver.UnstoredAt(), s.entry.key, time.Now())
		if more, err = s.fill(b.Builder); err != nil {
			return false, err
		}
		if b.Len() > 0 {
			n, end = n+len(b.Finish()), b.End()
		}
		if !more {
			break
		}
	}
	if n == 0 {
		return false, nil
	}
	return more, sp.append(w, s, b.memory[:n], end)
}

// append appends blocks, which end at a position, to the file of a session.
func (sp *Spool) append(w *worker, s *Session, text []byte, end stream.Mark) error {
	sp.makeRoom(int64(len(text)), w.op)
	err := w.op(func() error {
		f, err := sp.openOutput(s)
		if err != nil {
			return err
		}
		began := time.Now()
		err = f.Append(text)
		sp.blockTime.Store(int64(time.Since(began)))
		return err
	})
	if err != nil {
		return err
	}
	f := s.outputFile()
	s.fileGrew(end)
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

// halve removes the older half of the file of a session, in steps that do not take long.
func (sp *Spool) halve(w *worker, s *Session) error {
	f := s.outputFile()
	if f == nil {
		return nil
	}
	for now, most := f.Bytes(), f.Bytes()/2; now > most; {
		if err := w.op(func() error { return sp.shrink(s, f, max(most, now-freeStep)) }); err != nil {
			return err
		}
		before := now
		if now = f.Bytes(); now == before { // one block is left
			break
		}
	}
	return nil
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
