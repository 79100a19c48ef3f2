//go:build linux

package main

import (
	"errors"
	"time"
)

// streamingSample is the time between two samples of the memory of a server that streams.
const streamingSample = 5 * time.Millisecond

// streamingMemory measures the anonymous memory of a server while its first session streams. Ended
// sessions keep output, so each stream has a new server.
func streamingMemory(b *bench) (r report, err error) {
	file, err := b.lines(100, b.megabytes(1000, 64))
	if err != nil {
		return r, err
	}
	f := figure{
		what:   "RssAnon while one session streams, maximum",
		unit:   "MB",
		detail: "100-byte lines, a sample every 5 ms, median of several servers",
		goal:   atMost(8),
	}
	for _, p := range b.programs {
		var most samples
		for range b.rounds(5, 1) {
			kib, err := b.memoryWhileStreaming(p, file)
			if err != nil {
				return r, err
			}
			most = append(most, float64(kib)*1024/1e6)
		}
		f.values = append(f.values, most.median())
	}
	return report{figures: []figure{f}}, nil
}

// memoryWhileStreaming streams a file from a new server and returns the maximum of RssAnon in KiB.
func (b *bench) memoryWhileStreaming(p program, file textFile) (most int, err error) {
	var undo cleanup
	defer undo.run(&err)
	s, err := b.startUntil(&undo, p)
	if err != nil {
		return 0, err
	}
	c, err := s.dialUntil(&undo, bulkBuffer)
	if err != nil {
		return 0, err
	}
	streamed := make(chan error, 1)
	go func() { streamed <- c.stream(file) }()
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
