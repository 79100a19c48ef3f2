package block_test

import (
	"bytes"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/stream"
)

func BenchmarkBuild(b *testing.B) {
	items := []stream.Item{}
	data := bytes.Repeat([]byte("a line of output, 32 bytes long\n"), 2048)
	for i := range int64(7) {
		items = append(items, stream.Item{From: i << 16, To: (i + 1) << 16, Kind: stream.Stdout, Data: data})
	}
	builder := block.NewBuilder(block.MaxBytes)
	b.SetBytes(7 << 16)
	for b.Loop() {
		build(b, builder, stream.Mark{}, items)
	}
}

func BenchmarkCompress(b *testing.B) {
	data := bytes.Repeat([]byte("a line of output, 32 bytes long\n"), 15_000)
	out := build(b, block.NewBuilder(block.MaxBytes), stream.Mark{}, []stream.Item{{To: int64(len(data)), Kind: stream.Stdout, Data: data}})
	memory := block.NewBuffer()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := block.Compress(memory, out); err != nil {
			b.Fatal(err)
		}
	}
}
