package block_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

const key = 77

var now = time.UnixMilli(1_700_000_000_123)

// decode returns the event that encode has encoded.
func decode(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, errors.New("empty")
	}
	return string(b), nil
}

// randomItems returns items that begin at first, of up to n bytes together.
func randomItems(r *rand.Rand, first stream.Mark, n int) (items []stream.Item, end stream.Mark) {
	for end = first; n > 0; {
		it := stream.Item{From: end.Seq, Kind: stream.Kind(r.IntN(4))}
		length := min(1<<r.IntN(16)-r.IntN(2), n)
		n -= length + 16
		if it.Kind == stream.Event {
			it.Event = fmt.Sprint("event ", length)
			end.Seq++
			end.Events++
		} else {
			it.Data = []byte(strings.Repeat(fmt.Sprintf("%08x", r.Uint32()), length/8+1))[:length]
			it.Truncated = r.IntN(4) == 0
			if r.IntN(4) == 0 {
				it.Dropped = r.Int64N(math.MaxInt64) + 1
			}
			end.Seq += int64(length)
		}
		it.To = end.Seq
		items = append(items, it)
	}
	return items, end
}

func build(t testing.TB, b *block.Builder, first stream.Mark, items []stream.Item) []byte {
	t.Helper()
	b.Reset(first, key, now)
	for i := range items {
		event, _ := items[i].Event.(string)
		if err := b.Add(&items[i], []byte(event)); err != nil {
			t.Fatalf("item %d: %v", i, err)
		}
	}
	return b.Finish()
}

func parse(t *testing.T, b []byte) *block.Block {
	t.Helper()
	k, err := block.Parse(b, decode)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	b := block.NewBuilder(block.MaxBytes)
	compressed, raw := block.NewBuffer(), block.NewBuffer()
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		first := stream.Mark{Seq: r.Int64N(1 << 40), Events: 0}
		first.Events = r.Int64N(first.Seq + 1)
		items, end := randomItems(r, first, r.IntN(block.MaxBytes-1000))
		out := build(t, b, first, items)
		if len(out)%disk.Align != 0 || len(out) < len(b.Encoded()) || len(out)-len(b.Encoded()) >= disk.Align {
			t.Fatalf("%d bytes with padding, %d without", len(out), len(b.Encoded()))
		}
		want := &block.Block{Key: key, First: first, End: end, Time: now, Items: items}
		equal := func(name string, got *block.Block) {
			t.Helper()
			if !equalBlocks(got, want) {
				t.Errorf("seed %d, %s: the content has changed", seed, name)
			}
		}
		equal("as built", parse(t, out))
		equal("without padding", parse(t, b.Encoded()))
		small, err := block.Compress(compressed, out)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) > 64<<10 && len(small) >= len(out) {
			t.Errorf("seed %d: %d bytes compressed to %d", seed, len(out), len(small))
		}
		k := parse(t, small)
		equal("compressed", k)
		k.Release()
		again, err := block.Decompress(raw, small)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("seed %d: decompressed to another block, or %v", seed, err)
		}
	}
}

// equalBlocks compares what is public.
func equalBlocks(a, b *block.Block) bool {
	if a.Key != b.Key || a.First != b.First || a.End != b.End || !a.Time.Equal(b.Time) || len(a.Items) != len(b.Items) {
		return false
	}
	for i := range a.Items {
		x, y := a.Items[i], b.Items[i]
		if !bytes.Equal(x.Data, y.Data) {
			return false
		}
		x.Data, y.Data = nil, nil
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

func TestEventsOnly(t *testing.T) {
	items, _ := randomItems(rand.New(rand.NewPCG(1, 1)), stream.Mark{}, 200_000)
	out := build(t, block.NewBuilder(block.MaxBytes), stream.Mark{}, items)
	k, err := block.ParseEvents(out, decode)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, it := range items {
		if it.Kind != stream.Event {
			continue
		}
		if n == len(k.Items) || !reflect.DeepEqual(k.Items[n], it) {
			t.Fatalf("event %d differs", n)
		}
		n++
	}
	if n == 0 || n != len(k.Items) || k.End.Events != int64(n) {
		t.Errorf("%d events of %d, end %v", len(k.Items), n, k.End)
	}
}

func TestRoom(t *testing.T) {
	b := block.NewBuilder(10_000) // rounded up to 12288
	b.Reset(stream.Mark{}, key, now)
	if room := b.Room(); room != 12288-block.HeaderBytes-block.MaxOverhead {
		t.Errorf("room for %d bytes", room)
	}
	data := make([]byte, b.Room())
	over := stream.Item{To: int64(len(data)) + 1, Kind: stream.Stdout, Data: append(data, 0), Dropped: 1}
	if err := b.Add(&over, nil); !errors.Is(err, block.ErrFull) {
		t.Errorf("one byte more than there is room for: %v", err)
	}
	fits := stream.Item{To: int64(len(data)), Kind: stream.Stdout, Data: data, Dropped: 1}
	if err := b.Add(&fits, nil); err != nil {
		t.Error(err)
	}
	if b.Room() != 0 || len(b.Finish()) != 12288 || b.Len() != 1 {
		t.Errorf("room for %d bytes, %d bytes long, %d items", b.Room(), len(b.Finish()), b.Len())
	}
}

func TestMaxEntries(t *testing.T) {
	b := block.NewBuilder(block.MaxBytes)
	b.Reset(stream.Mark{}, key, now)
	for i := range int64(block.MaxEntries) {
		if err := b.Add(&stream.Item{From: i, To: i + 1, Kind: stream.PTY, Data: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	end := b.End().Seq
	if err := b.Add(&stream.Item{From: end, To: end + 1, Kind: stream.PTY, Data: []byte("x")}, nil); !errors.Is(err, block.ErrFull) || b.Room() != 0 {
		t.Errorf("%v, room for %d bytes", err, b.Room())
	}
	if k := parse(t, b.Finish()); len(k.Items) != block.MaxEntries {
		t.Errorf("%d items", len(k.Items))
	}
}

func TestAddRefuses(t *testing.T) {
	b := block.NewBuilder(4096)
	b.Reset(stream.Mark{Seq: 10, Events: 2}, key, now)
	for name, it := range map[string]stream.Item{
		"elsewhere":    {From: 11, To: 12, Kind: stream.Stdout, Data: []byte("x")},
		"wrong length": {From: 10, To: 12, Kind: stream.Stdout, Data: []byte("x")},
		"gap":          {From: 10, To: 11, Gap: true},
	} {
		if err := b.Add(&it, nil); !errors.Is(err, block.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.Len() != 0 || b.End() != b.First() {
		t.Error("the block has changed")
	}
}

// TestDamage changes each byte, and cuts the block at each length.
func TestDamage(t *testing.T) {
	items := []stream.Item{
		{From: 5, To: 6, Event: "started"},
		{From: 6, To: 6 + 300, Kind: stream.Stdout, Data: bytes.Repeat([]byte("abc"), 100), Dropped: 7, Truncated: true},
	}
	b := block.NewBuilder(4096)
	build(t, b, stream.Mark{Seq: 5}, items)
	raw := bytes.Clone(b.Encoded())
	b2 := block.NewBuilder(block.MaxBytes)
	big := build(t, b2, stream.Mark{}, []stream.Item{{To: 30_000, Kind: stream.PTY, Data: bytes.Repeat([]byte("abc"), 10_000)}})
	compressed, err := block.Compress(block.NewBuffer(), big)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := block.ParseHeader(compressed)
	for _, good := range [][]byte{raw, compressed[:h.Bytes()]} {
		if _, err := block.Parse(good, decode); err != nil {
			t.Fatal(err)
		}
		for n := range good {
			if _, err := block.Parse(good[:n], decode); !errors.Is(err, block.ErrTruncated) && !errors.Is(err, block.ErrNoBlock) {
				t.Errorf("cut to %d bytes: %v", n, err)
			}
			bad := bytes.Clone(good)
			bad[n] ^= 0x10
			if _, err := block.Parse(bad, decode); !errors.Is(err, block.ErrChecksum) && !errors.Is(err, block.ErrNoBlock) {
				t.Errorf("byte %d changed: %v", n, err)
			}
		}
	}
}

// rewrite sets the checksums, so that only what they protect is wrong.
func rewrite(b []byte, change func([]byte)) []byte {
	b = bytes.Clone(b)
	change(b)
	table := crc32.MakeTable(crc32.Castagnoli)
	le := binary.LittleEndian
	if n := le.Uint32(b[56:]); int(n) <= len(b)-block.HeaderBytes {
		le.PutUint32(b[64:], crc32.Checksum(b[block.HeaderBytes:][:n], table))
	}
	le.PutUint32(b[68:], crc32.Checksum(b[:68], table))
	return b
}

func TestInvalidContent(t *testing.T) {
	items := []stream.Item{{To: 100, Kind: stream.Stdout, Data: make([]byte, 100), Dropped: 1}, {From: 100, To: 101, Event: "exited"}}
	b := block.NewBuilder(4096)
	good := build(t, b, stream.Mark{}, items)
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		change func(b []byte)
		err    error
	}{
		"nothing":           {func(b []byte) {}, nil},
		"version":           {func(b []byte) { b[4] = 2 }, block.ErrVersion},
		"flag":              {func(b []byte) { b[5] |= 0x80 }, block.ErrVersion},
		"payload":           {func(b []byte) { le.PutUint32(b[56:], math.MaxUint32) }, block.ErrInvalid},
		"raw":               {func(b []byte) { le.PutUint32(b[60:], math.MaxUint32) }, block.ErrInvalid},
		"both lengths":      {func(b []byte) { le.PutUint32(b[56:], block.MaxBytes); le.PutUint32(b[60:], block.MaxBytes) }, block.ErrInvalid},
		"compressed length": {func(b []byte) { b[5] |= 1; le.PutUint32(b[56:], math.MaxUint32) }, block.ErrInvalid},
		"negative position": {func(b []byte) { b[23] = 0x80 }, block.ErrInvalid},
		"huge position":     {func(b []byte) { b[23], b[39] = 0x7f, 0x7f }, block.ErrInvalid},
		"end before first":  {func(b []byte) { b[16], b[24] = 120, 1 }, block.ErrInvalid},
		"more events":       {func(b []byte) { le.PutUint64(b[40:], 2) }, block.ErrInvalid},
		"no events":         {func(b []byte) { b[5] &^= 2 }, block.ErrInvalid},
		"not compressed":    {func(b []byte) { b[5] |= 1 }, block.ErrInvalid},
		"kind":              {func(b []byte) { b[72] = 9 }, block.ErrInvalid},
		"entry flag":        {func(b []byte) { b[73] |= 0x80 }, block.ErrInvalid},
		"entry length":      {func(b []byte) { le.PutUint32(b[76:], math.MaxUint32) }, block.ErrInvalid},
		"entry too long":    {func(b []byte) { le.PutUint32(b[76:], 4000) }, block.ErrTruncated},
		"negative dropped":  {func(b []byte) { b[87] = 0x80 }, block.ErrInvalid},
		"empty event":       {func(b []byte) { le.PutUint32(b[56:], 100+16+8); le.PutUint32(b[60:], 100+16+8); b[72+116+4] = 0 }, block.ErrInvalid},
	} {
		if _, err := block.Parse(rewrite(good, c.change), decode); !errors.Is(err, c.err) {
			t.Errorf("%s: %v instead of %v", name, err, c.err)
		}
	}
}

// TestBomb parses a block whose content is longer than its header says.
func TestBomb(t *testing.T) {
	good := build(t, block.NewBuilder(block.MaxBytes), stream.Mark{}, []stream.Item{{To: 500_000, Kind: stream.PTY, Data: make([]byte, 500_000)}})
	small, err := block.Compress(block.NewBuffer(), good)
	if err != nil {
		t.Fatal(err)
	}
	bad := rewrite(small, func(b []byte) { binary.LittleEndian.PutUint32(b[60:], 1000) })
	if _, err := block.Parse(bad, decode); !errors.Is(err, block.ErrInvalid) {
		t.Error(err)
	}
}

func TestIncompressible(t *testing.T) {
	data := make([]byte, 400_000)
	rand.NewChaCha8([32]byte{}).Read(data)
	good := build(t, block.NewBuilder(block.MaxBytes), stream.Mark{}, []stream.Item{{To: int64(len(data)), Kind: stream.PTY, Data: data}})
	if out, err := block.Compress(block.NewBuffer(), good); err != nil || &out[0] != &good[0] {
		t.Errorf("another block, or %v", err)
	}
}
