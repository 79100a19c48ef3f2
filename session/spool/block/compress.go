package block

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// encoder is used for one block at a time, so its memory is bounded.
var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(MaxBytes), zstd.WithLowerEncoderMem(true))
})

// maxDecompressions is how many blocks are decompressed at the same time.
const maxDecompressions = 2

var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(maxDecompressions), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxBytes), zstd.WithDecodeAllCapLimit(true))
})

// Compress writes the block b, compressed and padded like by Finish, to memory, and returns it. It
// returns b if compression does not make it smaller. It returns the errors of ParseHeader.
func Compress(memory *[MaxBytes]byte, b []byte) ([]byte, error) {
	h, err := ParseHeader(b)
	switch {
	case err != nil:
		return nil, err
	case h.Compressed:
		return b, nil
	}
	payload, _, err := h.content(b)
	if err != nil {
		return nil, err
	}
	e, err := encoder()
	if err != nil {
		return nil, err
	}
	out := e.EncodeAll(payload, memory[:HeaderBytes])
	if Padded(len(out)) >= Padded(h.Bytes()) {
		return b, nil
	}
	h.Compressed = true
	h.put(out)
	padded := memory[:Padded(len(out))]
	clear(padded[len(out):])
	return padded, nil
}

// Decompress is the opposite of Compress. It returns b if that is not compressed.
func Decompress(memory *[MaxBytes]byte, b []byte) ([]byte, error) {
	h, err := ParseHeader(b)
	if err != nil || !h.Compressed {
		return b, err
	}
	payload, own, err := h.content(b)
	if err != nil {
		return nil, err
	}
	defer FreeBuffer(own)
	n := HeaderBytes + copy(memory[HeaderBytes:], payload)
	h.Compressed = false
	h.put(memory[:n])
	padded := memory[:Padded(n)]
	clear(padded[n:])
	return padded, nil
}

// decompress appends the content of a compressed payload to b, whose capacity bounds it.
func decompress(b, payload []byte) ([]byte, error) {
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	if b, err = d.DecodeAll(payload, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return b, nil
}
