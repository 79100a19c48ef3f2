package window

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/stream"
)

// Recovered is what a window has of a session of an earlier process. It can be read until Reset.
type Recovered struct {
	Key        int64
	First, End stream.Mark // there may be gaps in between

	window *Window
	blocks []found // in the order of their positions
}

// found is a block with content.
type found struct {
	number int32
	first  stream.Mark
	end    int64
}

// recover finds the blocks with content, and makes the others free.
func (w *Window) recover() ([]*Recovered, error) {
	size, err := w.file.Size()
	if err != nil {
		return nil, err
	}
	count := int32(min((size+BlockBytes-1)/BlockBytes, MaxBlocks))
	w.long = size > offset(w.max)
	w.blocks = slices.Repeat([]blockState{{next: none, prev: none}}, int(min(count, w.max)))
	sessions := map[int64]*Recovered{}
	b := make([]byte, BlockBytes)
	for next := int32(0); next < count; next++ {
		data, err := w.file.SkipHole(offset(next))
		if err != nil {
			return nil, err
		}
		if next = int32(min(data/BlockBytes, int64(count))); next == count {
			break
		}
		if err := w.recoverBlock(next, b, sessions); err != nil {
			return nil, err
		}
	}
	w.freeOthers(min(count, w.max))
	all := slices.SortedFunc(maps.Values(sessions), func(a, b *Recovered) int { return cmp.Compare(a.Key, b.Key) })
	for _, r := range all {
		r.sort()
	}
	return all, nil
}

// recoverBlock adds the content of a block to its session.
func (w *Window) recoverBlock(number int32, b []byte, sessions map[int64]*Recovered) error {
	n, err := w.file.ReadAt(b, offset(number))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, ok := parseHeader(b[:n])
	if !ok && len(bytes.TrimLeft(b[:min(n, headerBytes)], "\x00")) == 0 {
		return nil
	}
	if int(number) < len(w.blocks) {
		w.blocks[number].written = BlockBytes
	}
	if !ok {
		w.damaged++
		return nil
	}
	end := h.entries(b[:n], func(stream.Item, []byte) {})
	if end == h.first {
		return nil
	}
	r := sessions[h.key]
	if r == nil {
		r = &Recovered{Key: h.key, window: w}
		sessions[h.key] = r
	}
	r.blocks = append(r.blocks, found{number, h.first, end.Seq})
	if end.Seq > r.End.Seq {
		r.End = end
	}
	w.recovered = append(w.recovered, number)
	return nil
}

// freeOthers makes the blocks that were not recovered free, those at the beginning of the file first.
func (w *Window) freeOthers(count int32) {
	recovered := w.recovered
	for n := count - 1; n >= 0; n-- {
		if _, found := slices.BinarySearch(recovered, n); !found {
			w.free = append(w.free, n)
		}
	}
}

func (r *Recovered) sort() {
	slices.SortFunc(r.blocks, func(a, b found) int { return cmp.Compare(a.first.Seq, b.first.Seq) })
	r.First = r.blocks[0].first
}

// Read calls yield with the content of each block that has something from seq on, in order. Items and
// their data are valid until yield returns. They are adjacent, from first on; between two calls there
// may be a gap, and the first call may begin before seq. With a nil decode an Event is its encoding, a
// []byte. Read returns the error of yield, of decode or of the disk; what was damaged since Open is
// left out.
func (r *Recovered) Read(seq int64, decode block.Decode, yield func(first stream.Mark, items []stream.Item) error) error {
	b := make([]byte, BlockBytes)
	var items []stream.Item
	for _, f := range r.blocks {
		if f.end <= seq {
			continue
		}
		n, err := r.window.file.ReadAt(b, offset(f.number))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		h, ok := parseHeader(b[:n])
		if !ok || h.key != r.Key || h.first != f.first {
			continue
		}
		if items, err = h.decode(b[:n], decode, items[:0]); err != nil {
			return err
		}
		if err := yield(h.first, items); err != nil {
			return err
		}
	}
	return nil
}

// decode appends the items of a block.
func (h header) decode(b []byte, decode block.Decode, items []stream.Item) ([]stream.Item, error) {
	var failed error
	h.entries(b, func(it stream.Item, data []byte) {
		if it.Kind == stream.Event {
			it.Event = data
			if decode != nil && failed == nil {
				it.Event, failed = decode(data)
			}
		}
		items = append(items, it)
	})
	return items, failed
}
