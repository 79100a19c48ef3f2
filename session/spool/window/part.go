package window

import (
	"errors"
	"fmt"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/stream"
)

// minPiece is the least room in bytes that is used for the beginning of output which does not fit.
const minPiece = 1 << 10

// Part is what the window has of one session.
type Part struct {
	window  *Window
	key     int64
	blocks  []held // oldest first
	end     stream.Mark
	used    int    // bytes of the newest block, with what is in the window's buffer
	seed    uint32 // of the checksums in the newest block
	headers int32  // list of the blocks whose header on disk names this part
	failed  error  // of a write, or ErrClosed
}

// held is a block in use.
type held struct {
	number int32
	first  stream.Mark
}

// Add adds a copy of an item, which begins where the previous one ended. event is the encoded event;
// it is ignored if the item is output. Output that does not fit into a block is split after
// a line, if that fills half of the room, else after a character. Full blocks are written at once, the rest by Flush, or when something is
// added to another part.
//
// After ErrFull, ErrTooLarge and ErrItem the part is as before. After the error of a write it is of no
// use any more, and Add and Flush return that error.
func (p *Part) Add(it *stream.Item, event []byte) error {
	data := it.Data
	if it.Kind == stream.Event {
		data = event
	}
	w := p.window
	switch {
	case p.failed != nil:
		return p.failed
	case it.Gap || it.From != p.end.Seq || it.Kind != stream.Event && it.To-it.From != int64(len(data)):
		return fmt.Errorf("%w: from %d to %d at %d", ErrItem, it.From, it.To, p.end.Seq)
	case it.Kind == stream.Event && len(data) > MaxEvent:
		return ErrTooLarge
	case len(data) > p.room(it) && p.blocksFor(*it, data) > w.Free():
		return ErrFull
	}
	if w.pending != p {
		_ = w.flush() // the other part has the error
	}
	if len(data) <= p.room(it) { // as usual
		p.append(it, data)
		return nil
	}
	return p.add(*it, data)
}

// blocksFor returns how many more blocks an item needs.
func (p *Part) blocksFor(it stream.Item, data []byte) (n int) {
	for room := p.room(&it); len(data) > room; room = roomFor(&it, headerBytes) {
		data = data[beginning(&it, data, room):]
		n++
	}
	return n
}

// room returns how many bytes of data fit into the rest of the newest block.
func (p *Part) room(it *stream.Item) int {
	if len(p.blocks) == 0 {
		return -1
	}
	return roomFor(it, p.used)
}

func roomFor(it *stream.Item, used int) int {
	return BlockBytes - used - checksumBytes - block.Overhead(it)
}

// beginning returns how much of an item, which does not fit, goes into the room in a block. The item is
// the rest then.
func beginning(it *stream.Item, data []byte, room int) int {
	if it.Kind == stream.Event || room < minPiece {
		return 0
	}
	it.Dropped = 0 // that was before the first piece
	return cut(data, room)
}

func (p *Part) add(it stream.Item, data []byte) error {
	for {
		room := p.room(&it)
		if len(data) <= room {
			p.append(&it, data)
			return nil
		}
		piece := it
		piece.Truncated = false
		if n := beginning(&it, data, room); n > 0 {
			p.append(&piece, data[:n])
			data = data[n:]
		}
		if err := p.begin(); err != nil {
			return err
		}
	}
}

// begin begins a block.
func (p *Part) begin() error {
	w := p.window
	if err := w.flush(); err != nil {
		return err
	}
	number := w.take(p)
	p.blocks = append(p.blocks, held{number, p.end})
	w.pending, w.buffer = p, appendHeader(w.buffer[:0], header{w.generation, p.key, p.end})
	p.used, p.seed = headerBytes, seed(w.buffer)
	return nil
}

// append adds an entry to the newest block, which has room for it.
func (p *Part) append(it *stream.Item, data []byte) {
	w := p.window
	before := len(w.buffer)
	w.pending, w.buffer = p, appendEntry(w.buffer, p.seed, it, data)
	p.used += len(w.buffer) - before
	if it.Kind == stream.Event {
		p.end.Seq++
		p.end.Events++
	} else {
		p.end.Seq += int64(len(data))
	}
}

// Flush writes what was added. When it returns, that survives the end of the process.
func (p *Part) Flush() error {
	if p.failed == nil && p.window.pending == p {
		_ = p.window.flush() // sets p.failed
	}
	return p.failed
}

// End returns the position after the newest item.
func (p *Part) End() stream.Mark { return p.end }

// Blocks returns how many blocks the part has.
func (p *Part) Blocks() int { return len(p.blocks) }

// Skip releases everything, and continues the part at a position that is not before its end. What is
// in between is stored elsewhere.
func (p *Part) Skip(to stream.Mark) {
	p.ReleaseBefore(p.end.Seq)
	p.end = to
}

// ReleaseBefore frees the blocks that are entirely before a position, because their content is stored
// elsewhere.
func (p *Part) ReleaseBefore(seq int64) {
	n := 0
	for n < len(p.blocks) && p.blockEnd(n) <= seq {
		p.window.free = append(p.window.free, p.blocks[n].number)
		n++
	}
	if n == len(p.blocks) && p.window.pending == p {
		p.window.pending, p.window.buffer = nil, p.window.buffer[:0]
	}
	p.blocks = p.blocks[:copy(p.blocks, p.blocks[n:])]
}

func (p *Part) blockEnd(i int) int64 {
	if i+1 < len(p.blocks) {
		return p.blocks[i+1].first.Seq
	}
	return p.end.Seq
}

// Close frees all blocks and makes their content unrecoverable. After an error some content can still
// be recovered. Closing twice has no effect.
func (p *Part) Close() error {
	if errors.Is(p.failed, ErrClosed) {
		return nil
	}
	p.ReleaseBefore(p.end.Seq)
	p.failed = ErrClosed
	var failed error
	for w := p.window; p.headers != none; {
		n := p.headers
		w.unlink(n)
		if failed == nil { // a disk that fails is not tried again for each block
			failed = w.erase(n)
		}
	}
	return failed
}
