package spool

import (
	"errors"
	"sync"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/stream"
)

// output is the output of a session on the disk: nothing, a part of the journal, or a file. It is the
// source of the session's log.
type output struct {
	spool  *Spool
	entry  *entry
	decode func([]byte) (any, error)

	mu          sync.Mutex // no other lock is taken while it is held
	file        *outputfile.File
	record      journal.Position // with the output, if inJournal is set
	inJournal   bool
	oldest, end stream.Mark
}

// Bounds implements stream.Source.
func (o *output) Bounds() (oldest, end stream.Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.oldest, o.end
}

// Load implements stream.Source.
func (o *output) Load(seq int64, eventsOnly bool, done func(*stream.Loaded, error), revoked func()) stream.Load {
	_, end := o.Bounds()
	return o.spool.loader.start(&load{
		read:    func() (*stream.Loaded, error) { return o.read(seq, eventsOnly) },
		done:    done,
		revoked: revoked,
		next:    end.Seq,
	})
}

// read reads a block.
func (o *output) read(seq int64, eventsOnly bool) (*stream.Loaded, error) {
	o.mu.Lock()
	file, record, inJournal, oldest, end := o.file, o.record, o.inJournal, o.oldest, o.end
	o.mu.Unlock()
	if seq < oldest.Seq || seq >= end.Seq {
		return nil, stream.ErrRemoved
	}
	var b *block.Block
	var err error
	switch {
	case file != nil:
		b, err = file.Read(seq, eventsOnly, o.decode)
	case inJournal:
		b, err = o.readBlob(record)
	default:
		b, err = o.readFile(seq, eventsOnly)
	}
	if err != nil && file != nil && o.outputFile() != file { // the session has ended, and the file was closed
		return o.read(seq, eventsOnly)
	}
	if now, _ := o.Bounds(); err != nil && seq < now.Seq || errors.Is(err, stream.ErrRemoved) {
		return nil, stream.ErrRemoved
	}
	if err != nil {
		o.spool.warn(err, "output not readable")
		if _, ok := errors.AsType[*stream.UnreadableError](err); !ok {
			err = &stream.UnreadableError{Next: end.Seq, Err: err}
		}
		return nil, err
	}
	return &stream.Loaded{From: b.First.Seq, To: b.End.Seq, Items: b.Items, Release: b.Release}, nil
}

func (o *output) readBlob(at journal.Position) (*block.Block, error) {
	text, err := o.spool.journal.ReadBlob(at)
	if err != nil {
		return nil, err
	}
	return block.Parse(text, o.decode)
}

// readFile reads from the file of a session that has ended.
func (o *output) readFile(seq int64, eventsOnly bool) (*block.Block, error) {
	f, release, err := o.spool.files.open(o.entry)
	if err != nil {
		return nil, err
	}
	defer release()
	return f.Read(seq, eventsOnly, o.decode)
}

// outputFile returns the file of a session that this server runs, or nil.
func (o *output) outputFile() *outputfile.File {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.file
}

// fileGrew records that the file has the output up to end.
func (o *output) fileGrew(end stream.Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = end
}

// inBlob records that the output is in an entry of the journal.
func (s *Session) inBlob(at journal.Position) {
	end := s.saver.UnstoredAt()
	s.mu.Lock()
	s.record, s.inJournal, s.output.end = at, true, end
	s.mu.Unlock()
	s.saver.Stored()
}

// storedTo returns the position up to which the output is in the file.
func (o *output) storedTo() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end.Seq
}
