package outputfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/stream"
)

// Read returns the block with a position. With eventsOnly it returns the events of the next block that
// has some, together with the range before them that has none. Release ends the use of the result.
//
// Errors: stream.ErrRemoved if the position was removed, io.EOF if it is not before the end, and
// *stream.UnreadableError if the block is damaged or cannot be read.
func (f *File) Read(seq int64, eventsOnly bool, decode block.Decode) (*block.Block, error) {
	at, from, to, err := f.locate(seq, eventsOnly)
	if err != nil {
		return nil, err
	}
	if eventsOnly && from == to {
		return &block.Block{Key: f.Key(), First: at.mark(), End: to.mark()}, nil
	}
	k, err := f.readBlock(from, to, eventsOnly, decode)
	if err == nil && seq >= k.End.Seq {
		k.Release()
		err = fmt.Errorf("%w: there is no block from %d on", block.ErrInvalid, k.End.Seq)
	}
	if err == nil {
		k.First = at.mark()
		return k, nil
	}
	if f.isRemoved(seq) {
		return nil, stream.ErrRemoved
	}
	if at != from {
		return &block.Block{Key: f.Key(), First: at.mark(), End: from.mark()}, nil
	}
	return nil, &stream.UnreadableError{Next: to.seq, Err: err}
}

// locate returns the beginning of the block with the position, and the block to read. That is another
// one if only events are read; it is empty if there are none.
func (f *File) locate(seq int64, eventsOnly bool) (at, from, to entry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &f.index
	switch {
	case seq >= x.end.Seq:
		return at, from, to, io.EOF
	case seq < x.oldest().Seq:
		return at, from, to, stream.ErrRemoved
	}
	i := x.find(seq)
	at = x.entries[i]
	if eventsOnly {
		i = x.withEvents(i)
	}
	if i == len(x.entries) {
		from = x.next(i)
		return at, from, from, nil
	}
	return at, x.entries[i], x.next(i), nil
}

// isRemoved reports whether a position was removed, or is about to be.
func (f *File) isRemoved(seq int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return seq < max(f.index.oldest().Seq, f.removing)
}

// readBlock reads the block that begins at from. The next one begins at to.
func (f *File) readBlock(from, to entry, eventsOnly bool, decode block.Decode) (*block.Block, error) {
	memory := block.NewBuffer()
	b, err := f.readBytes(from, to, memory)
	if err != nil {
		block.FreeBuffer(memory)
		return nil, err
	}
	parse := block.Parse
	if eventsOnly {
		parse = block.ParseEvents
	}
	k, err := parse(b, decode)
	if err != nil {
		block.FreeBuffer(memory)
		return nil, err
	}
	k.Own(memory)
	return k, nil
}

// readBytes reads the encoded block that begins at from.
func (f *File) readBytes(from, to entry, memory *[block.MaxBytes]byte) ([]byte, error) {
	b := memory[:min(to.offset()-from.offset(), block.MaxBytes)]
	n, err := f.open().ReadAt(b, from.offset())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	b = b[:n]
	h, err := block.ParseHeader(b)
	if err == nil && (h.Key != f.Key() || h.First != from.mark() || !follows(h.End, to.mark())) {
		err = fmt.Errorf("%w: another block: %v to %v of %d", block.ErrInvalid, h.First, h.End, h.Key)
	}
	return b, err
}
