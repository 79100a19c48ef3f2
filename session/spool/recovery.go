package spool

import (
	"bytes"
	"errors"
	"io/fs"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

// recovery completes the output of a session that ran when the last server ended: what the window has is
// appended to the output file, or, if there is none and it is small, becomes a part of the record.
type recovery struct {
	spool *Spool
	entry *entry
	block *block.Builder

	file        *outputfile.File // nil without one
	blob        []byte
	oldest, end stream.Mark
}

// errDamagedWindow means that what follows in the window does not continue the output.
var errDamagedWindow = errors.New("output is missing in the window")

// output recovers the output. After an error, what was recovered before is complete.
func (r *recovery) output(part *window.Recovered) (err error) {
	r.file, err = outputfile.Open(r.spool.disk, r.spool.outputPath(r.entry))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		r.oldest, r.end = r.file.Bounds()
	}
	if part != nil && r.end == (stream.Mark{}) { // there is no file, or it is empty
		r.oldest, r.end = part.First, part.First
	}
	if part != nil {
		r.block.Reset(r.end, r.entry.key, time.Now())
		err = part.Read(r.end.Seq, nil, func(_ stream.Mark, items []stream.Item) error { return r.add(items) })
	}
	return errors.Join(err, r.finish(part != nil))
}

// add adds items of the window that follow what was added before.
func (r *recovery) add(items []stream.Item) error {
	for i := range items {
		it := items[i]
		at := r.block.End().Seq
		switch {
		case it.To <= at:
			continue
		case it.From > at:
			return errDamagedWindow
		case it.From < at: // its beginning is in the file
			it.Data, it.From, it.Dropped = it.Data[at-it.From:], at, 0
		}
		event, _ := it.Event.([]byte)
		err := r.block.Add(&it, event)
		if errors.Is(err, block.ErrFull) {
			if err = r.append(); err == nil {
				err = r.block.Add(&it, event)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// append appends the block to the file, and begins the next one.
func (r *recovery) append() (err error) {
	if r.file == nil {
		if r.file, err = outputfile.Create(r.spool.disk, r.spool.outputPath(r.entry), r.entry.key); err != nil {
			return err
		}
	}
	if err := r.file.Append(r.block.Finish()); err != nil {
		return err
	}
	r.end = r.block.End()
	r.block.Reset(r.end, r.entry.key, time.Now())
	return nil
}

// finish stores the last block.
func (r *recovery) finish(begun bool) (err error) {
	rest := begun && r.block.Len() > 0
	if r.file == nil {
		if rest {
			r.blob, r.end = bytes.Clone(r.block.Encoded()), r.block.End()
		}
		return nil
	}
	if rest {
		err = r.append()
	}
	if err == nil && !r.file.Finished() {
		err = r.file.Finish()
	}
	r.oldest, r.end = r.file.Bounds()
	r.spool.update(r.entry, func(e *entry) { e.output = r.file.Bytes() })
	return errors.Join(err, r.file.Close())
}
