//go:build linux

package main

import (
	"fmt"
)

// allocations measures how many bytes the server allocates for each byte of a long stream, after
// its buffers have been allocated.
func allocations(b *bench) (report, error) {
	file, err := b.lines(100, b.megabytes(256, 64))
	if err != nil {
		return report{}, err
	}
	f := figure{
		what:   "bytes allocated per byte of output",
		detail: "100-byte lines, after a first stream of the same length",
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
	s, err := b.start(p)
	if err != nil {
		return 0, err
	}
	undo.add(s.stop)
	c, err := s.dial(bulkBuffer)
	if err != nil {
		return 0, err
	}
	undo.add(c.Close)
	var total [2]uint64
	for i := range total {
		if err := c.stream(file); err != nil {
			return 0, err
		}
		if total[i], err = counter.read(s.pid); err != nil {
			return 0, fmt.Errorf("heap of the server: %w", err)
		}
	}
	return float64(total[1]-total[0]) / float64(file.size), nil
}
