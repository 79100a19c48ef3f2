package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// maxLogPending is how many bytes of the log are queued while the sink blocks. More lines are
	// dropped.
	maxLogPending = 256 << 10
	// logFlush is how long close waits for queued lines to be written.
	logFlush = time.Second
)

// logSink is a writer that never blocks on the log's destination, which may be a pipe that is not
// read. One goroutine writes; the queue is bounded, and lines that do not fit are dropped and
// counted. zerolog's diode does not suffice: it bounds lines, not bytes, its Close blocks, it
// prints collisions to stderr, and its waiter may miss the last line.
type logSink struct {
	out  io.Writer
	lost func(lines int) error // writes the number of dropped lines to out
	wake chan struct{}         // signaled when there is something to write
	done chan struct{}         // closed when run has returned

	mu      sync.Mutex
	pending []byte // whole lines
	dropped int    // lines after pending; until it is reported, all further lines are dropped
	closed  bool
}

func newLogSink(out io.Writer, lost func(lines int) error) *logSink {
	s := &logSink{out: out, lost: lost, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Write queues a line, or counts it as dropped. It never blocks and never fails.
func (s *logSink) Write(line []byte) (int, error) {
	s.mu.Lock()
	if s.closed || s.dropped > 0 || len(s.pending)+len(line) > maxLogPending {
		s.dropped++
	} else {
		s.pending = append(s.pending, line...)
	}
	s.mu.Unlock()
	s.signal()
	return len(line), nil
}

func (s *logSink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close writes the queued lines. If the write does not complete within logFlush, they are lost, and
// the goroutine stays blocked.
func (s *logSink) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.signal()
	select {
	case <-s.done:
	case <-time.After(logFlush):
	}
}

// run writes until the sink is closed and the queue is empty.
func (s *logSink) run() {
	defer close(s.done)
	lost := 0
	for range s.wake {
		text, dropped, closed := s.take()
		lost += dropped + s.write(text)
		if lost > 0 && s.lost(lost) == nil {
			lost = 0
		}
		if closed {
			return
		}
	}
}

// write writes the lines and returns how many were not written.
func (s *logSink) write(text []byte) (lost int) {
	if len(text) == 0 {
		return 0
	}
	n, err := s.out.Write(text)
	if err == nil {
		return 0
	}
	return bytes.Count(text[n:], []byte("\n"))
}

func (s *logSink) take() (text []byte, dropped int, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, dropped, closed = s.pending, s.dropped, s.closed
	s.pending, s.dropped = nil, 0
	return text, dropped, closed
}
