package block

import (
	"fmt"
	"hash/crc32"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// Block is the content of a block.
type Block struct {
	Key        int64
	First, End stream.Mark
	Time       time.Time
	Items      []stream.Item // adjacent, from First to End; without output if parsed by ParseEvents

	memory *[MaxBytes]byte // with the data of Items; nil if the caller has it
}

// Decode returns the event that was encoded. It must not keep b.
type Decode func(b []byte) (any, error)

// Parse returns the content of the block at the beginning of b. The data of its items is in b, or if
// the block is compressed, in memory that Release returns. With a nil decode an Event is its encoding,
// a []byte that is valid as long as the data. It returns the errors of ParseHeader or of decode.
func Parse(b []byte, decode Decode) (*Block, error) { return parse(b, decode, false) }

// ParseEvents is Parse without the output.
func ParseEvents(b []byte, decode Decode) (*Block, error) { return parse(b, decode, true) }

func parse(b []byte, decode Decode, eventsOnly bool) (*Block, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return nil, err
	}
	payload, memory, err := h.content(b)
	if err != nil {
		return nil, err
	}
	block := &Block{Key: h.Key, First: h.First, End: h.End, Time: h.Time, memory: memory}
	if err := block.parse(payload, decode, eventsOnly); err != nil {
		block.Release()
		return nil, err
	}
	return block, nil
}

// content returns the entries, and the memory that they are in if it is not b.
func (h *Header) content(b []byte) ([]byte, *[MaxBytes]byte, error) {
	if len(b) < h.Bytes() {
		return nil, nil, ErrTruncated
	}
	payload := b[HeaderBytes:h.Bytes()]
	if crc32.Checksum(payload, castagnoli) != h.checksum {
		return nil, nil, ErrChecksum
	}
	if !h.Compressed {
		return payload, nil, nil
	}
	memory := NewBuffer()
	raw, err := decompress(memory[:0:h.Raw], payload)
	if err == nil && len(raw) != h.Raw {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrInvalid, len(raw), h.Raw)
	}
	if err != nil {
		FreeBuffer(memory)
		return nil, nil, err
	}
	return raw, memory, nil
}

// parse sets the items from the entries.
func (k *Block) parse(b []byte, decode Decode, eventsOnly bool) error {
	n, err := k.count(b, eventsOnly)
	if err != nil {
		return err
	}
	k.Items = make([]stream.Item, 0, n)
	at := k.First
	for len(b) > 0 {
		it, data, end, n, err := ParseEntry(b, at)
		if err != nil {
			return err
		}
		b, at = b[n:], end
		if it.Kind == stream.Event {
			if it.Event, err = decodeEvent(data, decode); err != nil {
				return err
			}
		} else if eventsOnly {
			continue
		}
		k.Items = append(k.Items, it)
	}
	return nil
}

// count returns how many items there will be. It checks their number and positions, before memory is
// allocated for them.
func (k *Block) count(b []byte, eventsOnly bool) (int, error) {
	at, entries := k.First, 0
	for ; len(b) > 0; entries++ {
		_, _, end, n, err := ParseEntry(b, at)
		if err != nil {
			return 0, err
		}
		b, at = b[n:], end
	}
	if entries > MaxEntries || at != k.End {
		return 0, fmt.Errorf("%w: %d entries that end at %v", ErrInvalid, entries, at)
	}
	if eventsOnly {
		entries = int(k.End.Events - k.First.Events)
	}
	return entries, nil
}

func decodeEvent(b []byte, decode Decode) (any, error) {
	if decode == nil {
		return b, nil
	}
	event, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%w: an event: %w", ErrInvalid, err)
	}
	return event, nil
}

// Own makes Release free the memory that the block was parsed from.
func (k *Block) Own(memory *[MaxBytes]byte) {
	if k.memory != nil { // the block was decompressed into memory of its own
		FreeBuffer(memory)
		return
	}
	k.memory = memory
}

// Release ends the use of the data of the items. A block that is not released is left to the garbage
// collector.
func (k *Block) Release() {
	FreeBuffer(k.memory)
	k.memory, k.Items = nil, nil
}
