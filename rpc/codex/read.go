package codex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

const (
	// maxReadBytes is the most output in bytes of a process/read. A client that asks for more gets the
	// rest by notifications.
	maxReadBytes = 512 << 10
	// maxReadWait is the longest time that a process/read waits.
	maxReadWait = 5 * time.Minute
)

type readParams struct {
	ProcessID string `json:"processId"`
	AfterSeq  *int64 `json:"afterSeq"`
	MaxBytes  *int64 `json:"maxBytes"`
	WaitMs    *int64 `json:"waitMs"`
}

type readResult struct {
	Chunks        []outputChunk `json:"chunks"`
	NextSeq       int64         `json:"nextSeq"`
	Exited        bool          `json:"exited"`
	ExitCode      *int          `json:"exitCode"`
	Closed        bool          `json:"closed"`
	Failure       *string       `json:"failure"`
	SandboxDenied bool          `json:"sandboxDenied"`
}

type outputChunk struct {
	Seq    int64  `json:"seq"`
	Stream string `json:"stream"`
	Chunk  []byte `json:"chunk"` // encoding/json writes base64
}

// after returns the seq after which the events are read.
func (q *readParams) after() int64 {
	if q.AfterSeq == nil {
		return 0
	}
	return max(*q.AfterSeq, 0)
}

// read returns the output after a seq up to a bound, in which no event is missing. The connection's lock of
// frames is held until the reply is queued, so that the events that follow it are behind it.
func (p *process) read(c *conn, q *readParams) answer {
	most := int64(maxReadBytes)
	if q.MaxBytes != nil {
		most = min(max(*q.MaxBytes, 0), maxReadBytes)
	}
	return c.large(blockCost, func(l *largeReply) (any, error) {
		p.beginRead()
		l.done = p.endRead
		if err := c.lockFrame(); err != nil {
			return nil, err
		}
		l.queued = c.unlockFrame
		return p.collect(c.ctx, q.after(), most), nil
	})
}

// beginRead keeps the process from being forgotten until endRead.
func (p *process) beginRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading++
}

func (p *process) endRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading--
	p.readAt = time.Now()
}

// unread returns how long the process was not read.
func (p *process) unread() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading > 0 {
		return 0
	}
	return time.Since(p.readAt)
}

// awaitSeq waits for the time that a read asks for until there is an event, or no further one will come.
func (p *process) awaitSeq(ctx context.Context, q *readParams) error {
	over := time.NewTimer(time.Duration(min(*q.WaitMs, maxReadWait.Milliseconds())) * time.Millisecond)
	defer over.Stop()
	for {
		p.mu.Lock()
		found, changed := p.events.next()-1 > q.after() || p.closeSeq != 0, p.changed
		p.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-changed:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// collect returns the events after a seq that are known, with at most so many bytes of output, but at
// least one chunk.
func (p *process) collect(ctx context.Context, after, most int64) *readResult {
	p.mu.Lock()
	first, end := max(after+1, p.events.first), p.events.next()
	exit, closed, code, failure := p.exitSeq, p.closeSeq, p.exitCode, p.failure
	var begin int64
	var ends []int64
	if first < end {
		begin, _ = p.events.span(first)
		ends = append(ends, p.events.ends[first-p.events.first:]...)
	}
	p.mu.Unlock()
	if after+1 < first {
		failure = fmt.Sprintf("the output before seq %d is not known any more", first)
	}
	r := p.openReader(begin)
	defer r.close()
	answer := &readResult{Chunks: []outputChunk{}, NextSeq: min(first, end)}
	for i, left := 0, most; i < len(ends) && left > 0; i++ {
		seq := first + int64(i)
		if seq != exit && seq != closed {
			kind, data, err := r.until(ctx, ends[i])
			if err != nil {
				failure = err.Error()
			}
			if len(answer.Chunks) > 0 && int64(len(data)) > left {
				break
			}
			left -= int64(len(data))
			answer.Chunks = append(answer.Chunks, outputChunk{seq, streams[kind], data})
		}
		answer.NextSeq = seq + 1
	}
	if first >= end {
		answer.NextSeq = end
	}
	if answer.Exited = exit != 0 && exit < answer.NextSeq; answer.Exited {
		answer.ExitCode = &code
	}
	answer.Closed = closed != 0 && closed < answer.NextSeq
	if failure != "" {
		answer.Failure = &failure
	}
	p.rewind(answer.NextSeq)
	return answer
}

// rewind is called with the seq after the first read since the session was resumed: what was sent after
// it may have been lost with the connection, and is sent again.
func (p *process) rewind(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed && next < p.sent {
		p.sent = next
		p.wake()
	}
	p.resumed = false
}

// rangeReader reads output from the log of a session again, or from the disk if the log has evicted it.
type rangeReader struct {
	p      *process
	cursor *stream.Cursor
	ready  chan struct{}
}

func (p *process) openReader(begin int64) *rangeReader {
	r := &rangeReader{p: p, ready: make(chan struct{}, 1)}
	r.cursor = p.session.Cursor(stream.CursorOptions{After: begin, Spool: true, Ready: func() {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}})
	return r
}

func (r *rangeReader) close() {
	r.cursor.Release()
	r.cursor.Close()
}

var errEvicted = errors.New("output is not kept any more")

// until returns a copy of the output up to a position, which is all of one kind. If some of it is not
// kept any more, it returns the rest and errEvicted.
func (r *rangeReader) until(ctx context.Context, end int64) (kind stream.Kind, data []byte, err error) {
	kind = stream.Stdout
	if r.p.session.Spec().Program.Terminal != nil {
		kind = stream.PTY
	}
	for at := r.cursor.Seq(); at < end; at = r.cursor.Seq() {
		it, ok := r.cursor.NextUpTo(end - at)
		if !ok {
			select {
			case <-r.ready:
				continue
			case <-ctx.Done():
				return kind, data, context.Cause(ctx)
			}
		}
		switch {
		case it.Gap:
			err = errEvicted
		case it.Kind != stream.Event:
			kind = it.Kind
			data = append(data, it.Data[:min(int64(len(it.Data)), end-it.From)]...)
		}
	}
	if at := r.cursor.Seq(); at > end { // NextUpTo does not cut a character
		r.cursor.Close()
		*r = *r.p.openReader(end)
	}
	return kind, data, err
}
