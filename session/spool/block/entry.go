package block

import (
	"encoding/binary"
	"math"

	"github.com/runnel-rpc/runnel/stream"
)

const (
	entryBytes   = 8
	droppedBytes = 8
	// MaxOverhead is by how many bytes an entry exceeds its data at most.
	MaxOverhead = entryBytes + droppedBytes
)

// The flags of an entry.
const (
	entryTruncated = 1 << iota
	entryDropped
	knownEntryFlags = entryTruncated | entryDropped
)

// Overhead returns by how many bytes the entry of an item exceeds its data.
func Overhead(it *stream.Item) int {
	if it.Dropped != 0 {
		return MaxOverhead
	}
	return entryBytes
}

// AppendEntry appends the entry of an item to b. data is the output, or the encoded event.
func AppendEntry(b []byte, it *stream.Item, data []byte) []byte {
	var flags byte
	if it.Truncated {
		flags |= entryTruncated
	}
	if it.Dropped != 0 {
		flags |= entryDropped
	}
	b = append(b, byte(it.Kind), flags, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	if it.Dropped != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(it.Dropped))
	}
	return append(b, data...)
}

// ParseEntry returns the item of the entry at the beginning of b, the data or the encoded event, and
// the length of the entry. The item begins at from. It returns ErrTruncated or ErrInvalid.
func ParseEntry(b []byte, from stream.Mark) (it stream.Item, data []byte, end stream.Mark, n int, err error) {
	if len(b) < entryBytes {
		return it, nil, from, 0, ErrTruncated
	}
	kind, flags, length := stream.Kind(b[0]), b[1], binary.LittleEndian.Uint32(b[4:])
	if kind > stream.PTY || flags&^knownEntryFlags != 0 || b[2] != 0 || b[3] != 0 || length > MaxBytes {
		return it, nil, from, 0, ErrInvalid
	}
	it = stream.Item{From: from.Seq, Kind: kind, Truncated: flags&entryTruncated != 0}
	n = entryBytes
	if flags&entryDropped != 0 {
		if len(b) < MaxOverhead {
			return it, nil, from, 0, ErrTruncated
		}
		dropped := binary.LittleEndian.Uint64(b[n:])
		if dropped == 0 || dropped > math.MaxInt64 || kind == stream.Event {
			return it, nil, from, 0, ErrInvalid
		}
		it.Dropped, n = int64(dropped), MaxOverhead
	}
	if int(length) > len(b)-n {
		return it, nil, from, 0, ErrTruncated
	}
	data = b[n : n+int(length) : n+int(length)]
	end = from
	if kind == stream.Event {
		end.Seq++
		end.Events++
	} else {
		it.Data = data
		end.Seq += int64(length)
	}
	it.To = end.Seq
	return it, data, end, n + int(length), nil
}
