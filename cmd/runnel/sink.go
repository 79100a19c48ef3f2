package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// maxLogPending is how many bytes of the log may wait for a sink that takes nothing. What comes then is dropped.
	maxLogPending = 256 << 10
	// logFlush is how long an exit waits for the sink to take what is left.
	logFlush = time.Second
)

// logSink is a writer that never waits for the log's sink, which may be a pipe that nobody reads: one goroutine writes,
// the lines that wait for it are bounded, and those that do not fit are dropped and counted. zerolog's diode is not used for it: it
// bounds lines and not bytes, its Close waits for the sink, it reports collisions to stderr, and its waiter may miss
// the last line.
type logSink struct {
	out  io.Writer
	lost func(lines int) error // writes to out how many lines were dropped
	wake chan struct{}         // holds one token when there is something to do
	done chan struct{}         // closed when the goroutine has ended

	mu      sync.Mutex
	pending []byte // whole lines
	dropped int    // lines that came after them; none is taken until the goroutine has seen it
	closed  bool
}

func newLogSink(out io.Writer, lost func(lines int) error) *logSink {
	s := &logSink{out: out, lost: lost, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Write takes a line, or counts it as dropped. It never waits and never fails.
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

// close writes what is left. If the sink does not take it within logFlush it is lost, and the goroutine stays blocked.
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

// run writes until the sink is closed and nothing is left.
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

// write returns how many lines the sink failed to take.
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
