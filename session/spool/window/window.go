// Package window is the file with the newest output of the sessions that run: small blocks, which are
// reused as soon as their content is stored elsewhere. It makes what a client was given survive the end
// of the server. docs/spool.md defines the format.
package window

import (
	"errors"
	"math/rand/v2"
	"os"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

const (
	// BlockBytes is the length of a block of the file.
	BlockBytes = 64 << 10
	// MaxBlocks is how many blocks a window has at most.
	MaxBlocks = 1 << 20
)

var (
	// ErrFull is returned by Add if no block is free. The item was not added.
	ErrFull = errors.New("window: full")
	// ErrTooLarge is returned by Add for an event of more than MaxEvent bytes. It was not added.
	ErrTooLarge = errors.New("window: the event is too large")
	// ErrItem is returned by Add for an item that does not begin where the previous one ended.
	ErrItem = errors.New("window: the item does not continue the part")
	// ErrClosed is returned by Add and Flush of a part that was closed.
	ErrClosed = errors.New("window: closed")
)

// Window is an open file. It and its parts are for one goroutine at a time, except Sync. All methods
// except Session and Free may block on the disk.
type Window struct {
	file       disk.File
	max        int32
	generation uint64 // of the newest block
	blocks     []blockState
	free       []int32 // the most recently freed last: its pages are in the page cache
	recovered  []int32 // not free before Reset
	long       bool    // the file has more than max blocks
	damaged    int

	pending *Part  // the part with something in buffer
	buffer  []byte // of its newest block, not written yet
}

// blockState is where a block is in the list of the blocks whose header on disk names the same part.
type blockState struct {
	owner      *Part // nil if there is no valid header
	next, prev int32 // none at the ends
	written    int32 // what is not zero ends here
}

// none is the number of no block.
const none = -1

// Open opens or creates a window of at most this many blocks, which are created when they are first
// used. It also returns what the file has of earlier parts that were not closed. Their blocks are not
// reused before Reset. Content of blocks that were released, but not reused, is among it.
func Open(files disk.Files, path string, blocks int) (*Window, []*Recovered, error) {
	file, err := files.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	w := &Window{
		file: file,
		max:  int32(max(min(blocks, MaxBlocks), 1)),
		// What an earlier process has written to a block is not valid in this one's use of it.
		generation: rand.Uint64(),
		buffer:     make([]byte, 0, BlockBytes),
	}
	recovered, err := w.recover()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return w, recovered, nil
}

// Session returns an empty part for the session that has this key. first is the position of its first
// item.
func (w *Window) Session(key int64, first stream.Mark) *Part {
	return &Part{window: w, key: key, end: first, headers: none}
}

// Free returns how many blocks are free.
func (w *Window) Free() int {
	return len(w.free) + max(int(w.max)-len(w.blocks), 0)
}

// Damaged returns how many blocks Open has found whose header is damaged.
func (w *Window) Damaged() int { return w.damaged }

// Reset frees the blocks of what Open has recovered, which cannot be read then.
func (w *Window) Reset() error {
	for len(w.recovered) > 0 {
		last := len(w.recovered) - 1
		if err := w.erase(w.recovered[last]); err != nil {
			return err
		}
		if n := w.recovered[last]; n < w.max {
			w.free = append(w.free, n)
		}
		w.recovered = w.recovered[:last]
	}
	if !w.long {
		return nil
	}
	w.long = false
	return w.file.Truncate(int64(w.max) * BlockBytes)
}

// Sync makes durable what was flushed. It may be called concurrently with everything except Close.
func (w *Window) Sync() error { return w.file.Sync() }

// Close closes the file. Its content stays.
func (w *Window) Close() error { return w.file.Close() }

// take returns a free block for a part. There must be one.
func (w *Window) take(p *Part) int32 {
	var n int32
	if last := len(w.free) - 1; last >= 0 {
		n, w.free = w.free[last], w.free[:last]
	} else {
		n = int32(len(w.blocks))
		w.blocks = append(w.blocks, blockState{next: none, prev: none})
	}
	w.unlink(n)
	w.link(n, p)
	w.generation++
	return n
}

// link adds a block to the list of a part.
func (w *Window) link(n int32, p *Part) {
	w.blocks[n] = blockState{owner: p, next: p.headers, prev: none, written: w.blocks[n].written}
	if p.headers != none {
		w.blocks[p.headers].prev = n
	}
	p.headers = n
}

// unlink removes a block from the list that it is in.
func (w *Window) unlink(n int32) {
	b := w.blocks[n]
	if b.owner == nil {
		return
	}
	if b.next != none {
		w.blocks[b.next].prev = b.prev
	}
	if b.prev != none {
		w.blocks[b.prev].next = b.next
	} else {
		b.owner.headers = b.next
	}
	w.blocks[n] = blockState{next: none, prev: none, written: b.written}
}

// flush writes the buffer.
func (w *Window) flush() error {
	p := w.pending
	if p == nil {
		return nil
	}
	newest := p.blocks[len(p.blocks)-1]
	b := &w.blocks[newest.number]
	b.written = max(b.written, int32(p.used))
	_, err := w.file.WriteAt(w.buffer, offset(newest.number)+int64(p.used-len(w.buffer)))
	w.buffer, w.pending = w.buffer[:0], nil
	if err != nil {
		p.failed = err
	}
	return err
}

// offset returns where a block begins.
func offset(number int32) int64 { return int64(number) * BlockBytes }

var zeros [BlockBytes]byte

// erase overwrites the content of a block with zeros.
func (w *Window) erase(number int32) error {
	n := int32(BlockBytes)
	if int(number) < len(w.blocks) {
		n = w.blocks[number].written
	}
	if _, err := w.file.WriteAt(zeros[:n], offset(number)); err != nil {
		return err
	}
	if int(number) < len(w.blocks) {
		w.blocks[number].written = 0
	}
	return nil
}
