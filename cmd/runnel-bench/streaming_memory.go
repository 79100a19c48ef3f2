//go:build linux

package main

import (
	"errors"
	"time"
)

// streamingSample is the time between two samples of the memory of a server that streams.
const streamingSample = 5 * time.Millisecond

// streamingMemory measures the anonymous memory of a server while one session streams.
func streamingMemory(b *bench) (r report, err error) {
	file, err := b.lines(100, b.megabytes(256, 64))
	if err != nil {
		return r, err
	}
	f := figure{
		what:   "RssAnon while one session streams, maximum",
		unit:   "MB",
		detail: "100-byte lines, a sample every 5 ms",
		goal:   atMost(8),
	}
	for _, p := range b.programs {
		most, err := b.memoryWhileStreaming(p, file, b.rounds(4, 1))
		if err != nil {
			return r, err
		}
		f.values = append(f.values, float64(most)*1024/1e6)
	}
	return report{figures: []figure{f}}, nil
}

// memoryWhileStreaming streams a file some times and returns the maximum of RssAnon in KiB.
func (b *bench) memoryWhileStreaming(p program, file textFile, times int) (most int, err error) {
	var undo cleanup
	defer undo.run(&err)
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
	streamed := make(chan error, 1)
	go func() {
		var err error
		for range times {
			err = errors.Join(err, c.stream(file))
		}
		streamed <- err
	}()
	for {
		now, err := procFields(s.pid, "status", "RssAnon")
		if err != nil {
			_ = c.Close()
			return 0, errors.Join(err, <-streamed)
		}
		most = max(most, now)
		select {
		case err := <-streamed:
			return most, err
		case <-time.After(streamingSample):
		}
	}
}
