package block

import (
	"errors"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

// ErrFull is returned by [Builder.Add] if there is no room for the item.
var ErrFull = errors.New("block: full")

// Builder makes blocks, one after the other, in the same memory. It must not be used concurrently.
type Builder struct {
	b       []byte // the block so far
	max     int
	header  Header
	entries int
}

// NewBuilder returns a builder of blocks of at most size bytes, which is rounded up to a multiple of
// disk.Align, and down to MaxBytes. Call Reset before anything else.
func NewBuilder(size int) *Builder {
	return NewBuilderIn(disk.Aligned(min(Padded(max(size, disk.Align)), MaxBytes)))
}

// NewBuilderIn is NewBuilder with memory that direct I/O can use, whose length is the size of the blocks:
// a multiple of disk.Align, at most MaxBytes.
func NewBuilderIn(memory []byte) *Builder {
	return &Builder{b: memory[:0], max: len(memory)}
}

// Use makes the next blocks in this memory, as [NewBuilderIn] does. Reset has to follow.
func (b *Builder) Use(memory []byte) { b.b, b.max = memory[:0], len(memory) }

// Reset begins a block at a position of the log of the session that has this key.
func (b *Builder) Reset(first stream.Mark, key int64, now time.Time) {
	b.header = Header{Key: key, First: first, End: first, Time: now}
	b.b, b.entries = b.b[:HeaderBytes], 0
}

// Room returns how many bytes of data the next item may have; 0 is none.
func (b *Builder) Room() int {
	if b.entries == MaxEntries {
		return 0
	}
	return max(b.max-len(b.b)-MaxOverhead, 0)
}

// Add appends a copy of an item, which begins where the previous one ended. event is the encoded
// event; it is ignored if the item is output. A gap, or an item that begins elsewhere, is ErrInvalid.
// Add returns ErrFull if there is no room. The block is not changed then.
func (b *Builder) Add(it *stream.Item, event []byte) error {
	data := it.Data
	if it.Kind == stream.Event {
		data = event
	}
	switch end := b.header.End; {
	case it.Gap || it.From != end.Seq || it.To != end.Seq+size(it):
		return fmt.Errorf("%w: an item from %d to %d at %d", ErrInvalid, it.From, it.To, end.Seq)
	case b.entries == MaxEntries || len(data) > b.max-len(b.b)-Overhead(it):
		return ErrFull
	}
	b.b = AppendEntry(b.b, it, data)
	b.entries++
	b.header.End.Seq = it.To
	if it.Kind == stream.Event {
		b.header.End.Events++
		b.header.Events = true
	}
	return nil
}

// size is how far an item moves the position.
func size(it *stream.Item) int64 {
	if it.Kind == stream.Event {
		return 1
	}
	return int64(len(it.Data))
}

// First returns the position at which the block begins.
func (b *Builder) First() stream.Mark { return b.header.First }

// End returns the position after the newest item.
func (b *Builder) End() stream.Mark { return b.header.End }

// Len returns the number of items.
func (b *Builder) Len() int { return b.entries }

// Encoded returns the block without padding. It is valid until the next Reset or Add.
func (b *Builder) Encoded() []byte {
	b.header.put(b.b)
	return b.b
}

// Finish returns the block, with zeros up to a multiple of disk.Align, in memory that direct I/O can
// use. It is valid until the next Reset or Add.
func (b *Builder) Finish() []byte {
	n := len(b.Encoded())
	padded := b.b[:Padded(n)]
	clear(padded[n:])
	return padded
}
