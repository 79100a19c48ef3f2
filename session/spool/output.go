package spool

import (
	"errors"
	"io/fs"
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

	mu          sync.Mutex       // no other lock is taken while it is held
	file        *outputfile.File // of a session that this server runs, else nil
	users       int              // of file
	unused      bool             // file is closed when it has no users
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
	inJournal, oldest, end := o.inJournal, o.oldest, o.end
	o.mu.Unlock()
	if seq < oldest.Seq || seq >= end.Seq {
		return nil, stream.ErrRemoved
	}
	var b *block.Block
	var err error
	if inJournal {
		b, err = o.readBlob()
	} else {
		b, err = o.readFile(seq, eventsOnly)
	}
	if err == nil {
		return &stream.Loaded{From: b.First.Seq, To: b.End.Seq, Items: b.Items, Release: b.Release}, nil
	}
	if o.isRemoved(seq, err) {
		return nil, stream.ErrRemoved
	}
	o.spool.warn(err, "output not readable")
	if _, ok := errors.AsType[*stream.UnreadableError](err); !ok {
		err = &stream.UnreadableError{Next: end.Seq, Err: err}
	}
	return nil, err
}

// isRemoved reports whether the error of a read means that the output was removed.
func (o *output) isRemoved(seq int64, err error) bool {
	o.spool.mu.Lock()
	noFile := o.entry.output == 0
	o.spool.mu.Unlock()
	all := errors.Is(err, fs.ErrNotExist) || errors.Is(err, journal.ErrErased) || errors.Is(err, journal.ErrNotFound)
	o.mu.Lock()
	defer o.mu.Unlock()
	if all || noFile && !o.inJournal {
		o.oldest = o.end
	}
	return seq < o.oldest.Seq || errors.Is(err, stream.ErrRemoved)
}

// readBlob reads the output in the record.
func (o *output) readBlob() (*block.Block, error) {
	at := o.spool.recordOf(o.entry)
	text, err := o.spool.journal.ReadBlob(at)
	if err != nil {
		if now := o.spool.recordOf(o.entry); now != at { // it was moved meanwhile
			text, err = o.spool.journal.ReadBlob(now)
		}
	}
	if err != nil {
		return nil, err
	}
	return block.Parse(text, o.decode)
}

// readFile reads from the file.
func (o *output) readFile(seq int64, eventsOnly bool) (*block.Block, error) {
	if f := o.hold(); f != nil {
		defer o.release()
		return f.Read(seq, eventsOnly, o.decode)
	}
	f, release, err := o.spool.files.open(o.entry)
	if err != nil {
		return nil, err
	}
	defer release()
	return f.Read(seq, eventsOnly, o.decode)
}

// hold returns the file of a session that this server runs, which stays open until release is called. It
// returns nil if there is none, or the session has ended; then release need not be called.
func (o *output) hold() *outputfile.File {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil || o.unused {
		return nil
	}
	o.users++
	return o.file
}

// use is hold for who may also make the file.
func (o *output) use() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users++
}

// release ends a use.
func (o *output) release() {
	o.mu.Lock()
	o.users--
	f := o.takeUnused()
	o.mu.Unlock()
	if f != nil {
		_ = f.Close()
	}
}

// closeFile closes the file, which is opened anew for further reads, as soon as nobody uses it.
func (o *output) closeFile() {
	o.mu.Lock()
	o.unused = true
	f := o.takeUnused()
	o.mu.Unlock()
	if f != nil {
		_ = f.Close()
	}
}

// takeUnused returns the file if it is to be closed now.
func (o *output) takeUnused() (f *outputfile.File) {
	if o.unused && o.users == 0 {
		f, o.file = o.file, nil
	}
	return f
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

// inBlob records that the output is in the record.
func (s *Session) inBlob() {
	end := s.saver.UnstoredAt()
	s.mu.Lock()
	s.inJournal, s.output.end = true, end
	s.mu.Unlock()
	s.saver.Stored()
}

// storedTo returns the position up to which the output is in the file.
func (o *output) storedTo() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end.Seq
}
