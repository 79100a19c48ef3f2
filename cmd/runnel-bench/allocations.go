//go:build linux

package main

import (
	"fmt"
)

// allocationsRepeated is how often the file is streamed, so that the start of the command and the
// resolution of the counter do not matter.
const allocationsRepeated = 8

// allocations measures how many bytes the server allocates for each byte of a long stream, after
// its buffers have been allocated.
func allocations(b *bench) (report, error) {
	file, err := b.lines(100, b.megabytes(256, 32))
	if err != nil {
		return report{}, err
	}
	f := figure{
		what:   "bytes allocated per byte of output",
		detail: fmt.Sprintf("100-byte lines, %.1f GB after a first stream", float64(allocationsRepeated*file.size)/1e9),
		goal:   atMost(0.01),
	}
	for _, p := range b.programs {
		v, err := b.allocated(p, file)
		if err != nil {
			return report{}, err
		}
		f.values = append(f.values, v)
	}
	return report{figures: []figure{f}}, nil
}

// allocated returns the bytes that a server allocates for each byte of the second stream.
func (b *bench) allocated(p program, file textFile) (perByte float64, err error) {
	var undo cleanup
	defer undo.run(&err)
	counter, err := newHeapCounter(p.path)
	if err != nil {
		return 0, err
	}
	s, err := b.startUntil(&undo, p)
	if err != nil {
		return 0, err
	}
	c, err := s.dialUntil(&undo, bulkBuffer)
	if err != nil {
		return 0, err
	}
	var total [2]uint64
	for i := range total {
		if err := c.streamRepeated(nil, file, allocationsRepeated); err != nil {
			return 0, err
		}
		if total[i], err = counter.read(s.pid); err != nil {
			return 0, fmt.Errorf("heap of the server: %w", err)
		}
	}
	return float64(total[1]-total[0]) / float64(allocationsRepeated*file.size), nil
}
