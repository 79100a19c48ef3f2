package block_test

import (
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/stream"
)

func seeds(f *testing.F) {
	items := []stream.Item{{To: 10, Kind: stream.Stdout, Data: []byte("0123456789"), Dropped: 1}, {From: 10, To: 11, Event: "exited"}}
	b := block.NewBuilder(block.MaxBytes)
	f.Add(build(f, b, stream.Mark{}, items))
	f.Add(b.Encoded()[:80])
	long := build(f, b, stream.Mark{Seq: 3, Events: 1}, []stream.Item{{From: 3, To: 50_003, Kind: stream.PTY, Data: make([]byte, 50_000)}})
	small, err := block.Compress(block.NewBuffer(), long)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
}

func FuzzParseHeader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := block.ParseHeader(b)
		if err == nil && (h.Payload < 0 || h.Bytes() > block.MaxBytes || h.Raw > block.MaxBytes || h.End.Seq < h.First.Seq) {
			t.Errorf("%+v", h)
		}
	})
}

// FuzzParse also parses b with correct checksums, so that the parser of the entries is reached.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		check(t, b)
		if len(b) >= block.HeaderBytes {
			check(t, rewrite(b, func([]byte) {}))
		}
	})
}

func check(t *testing.T, b []byte) {
	k, err := block.Parse(b, decode)
	if err != nil {
		return
	}
	defer k.Release()
	at, events := k.First.Seq, k.First.Events
	for _, it := range k.Items {
		if it.From != at || it.To < it.From || it.Kind != stream.Event && it.To-it.From != int64(len(it.Data)) {
			t.Fatalf("item %d to %d at %d", it.From, it.To, at)
		}
		if at = it.To; it.Kind == stream.Event {
			events++
		}
	}
	if at != k.End.Seq || events != k.End.Events {
		t.Fatalf("the items end at %d %d, the block at %v", at, events, k.End)
	}
}
