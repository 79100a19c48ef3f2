//go:build linux

package main

import (
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	floodRate   = 90e6                   // bytes per second that the client reads
	floodWarmUp = 500 * time.Millisecond // until every buffer on the way is full
	floodPause  = 2 * time.Millisecond   // between two requests
	floodSilent = 300 * time.Millisecond // between two requests after which the server expects none

	// floodChecked is what -check requires, in ms. The command, the server and the client share the processors,
	// so a reply waits for time slices of the others; behind the output that the server holds it would wait for
	// several times as long.
	floodChecked = 50
)

// controlInFlood measures replies on a connection whose session writes faster than the client
// reads: of requests that follow each other, and of single ones.
func controlInFlood(b *bench) (r report, err error) {
	times, single := newSeries(len(b.programs)), newSeries(len(b.programs))
	for i, p := range b.programs {
		if times.programs[i], err = b.timeInFlood(p, b.rounds(1000, 200), floodPause); err != nil {
			return r, err
		}
		if single.programs[i], err = b.timeInFlood(p, b.rounds(60, 5), floodSilent); err != nil {
			return r, err
		}
	}
	what := "status during a flood, client that reads 90 MB/s, "
	return report{figures: []figure{
		{what: what + "p50", values: times.quantiles(0.5), unit: "ms"},
		{what: what + "p99", values: times.quantiles(0.99), unit: "ms", goal: atMost(4), timing: true, checked: atMost(floodChecked)},
		{what: what + "one after 300 ms without, p50", values: single.quantiles(0.5), unit: "ms"},
	}}, nil
}

// timeInFlood returns the times of so many requests in milliseconds, with a pause after each.
func (b *bench) timeInFlood(p program, requests int, pause time.Duration) (times samples, err error) {
	var undo cleanup
	defer undo.run(&err)
	s, err := b.startUntil(&undo, p)
	if err != nil {
		return nil, err
	}
	c, _, err := s.dialThrottled(floodRate)
	if err != nil {
		return nil, err
	}
	id, err := c.start("yes", strings.Repeat("x", 99))
	if err != nil {
		return nil, err
	}
	f := newReplyReader(c)
	undo.add(f.stop)
	time.Sleep(floodWarmUp)
	for range requests {
		begin := time.Now()
		if err := c.request(rpc.MethodStatus, map[string]any{"session_id": id}); err != nil {
			return nil, err
		}
		at, ok := <-f.replies
		if !ok {
			return nil, f.err
		}
		times.add(at.Sub(begin), time.Millisecond)
		time.Sleep(pause)
		if b.ctx.Err() != nil {
			return nil, b.ctx.Err()
		}
	}
	return times, nil
}

// replyReader reads a connection and reports when replies arrive.
type replyReader struct {
	c       *conn
	replies chan time.Time // closed when the reader has returned
	err     error
}

func newReplyReader(c *conn) *replyReader {
	f := &replyReader{c: c, replies: make(chan time.Time, 1)}
	go f.run()
	return f
}

func (f *replyReader) run() {
	defer close(f.replies)
	for {
		m, err := f.c.next()
		isReply := false
		if err == nil {
			isReply, err = reply(m.text)
		}
		if err != nil {
			f.err = err
			return
		}
		if isReply {
			f.replies <- time.Now()
		}
	}
}

// stop closes the connection and waits for the reader.
func (f *replyReader) stop() error {
	err := f.c.Close()
	for range f.replies { // what arrived last
	}
	return err
}
