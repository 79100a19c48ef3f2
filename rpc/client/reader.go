package client

import (
	"fmt"
	"io"

	"github.com/runnel-rpc/runnel/rpc"
)

// GapError is the error of a reader at a position where output was lost.
type GapError struct{ rpc.Gap }

func (e *GapError) Error() string {
	return fmt.Sprintf("%d bytes of output were lost (%s)", e.LostBytes, e.Reason)
}

// reader reads one stream of a queue.
type reader struct {
	q      *receiveQueue
	stream string
	items  []*item
}

// reader returns the reader of a stream, and makes it if there is none.
func (q *receiveQueue) reader(stream string) *reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.readers[stream]
	if r == nil {
		r = &reader{q: q, stream: stream}
		q.readers[stream] = r
	}
	return r
}

// add adds an item if it is output of the reader's stream, or a gap, which concerns all streams.
// Adjacent gaps are merged, so that the gaps of a stream that is not read do not accumulate.
func (r *reader) add(it *item) {
	switch {
	case it.gap != nil:
		g := *it.gap
		if n := len(r.items) - 1; n >= 0 && r.items[n].gap != nil {
			before := r.items[n].gap
			g.FromSeq, g.LostBytes = before.FromSeq, before.LostBytes+g.LostBytes
			r.items = r.items[:n]
		}
		r.items = append(r.items, &item{seq: it.seq, gap: &g})
	case it.out != nil && it.out.Type == r.stream:
		r.items = append(r.items, it)
	}
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	q := r.q
	q.mu.Lock()
	for len(r.items) == 0 {
		if q.closed {
			defer q.mu.Unlock()
			if q.err != nil {
				return 0, q.err
			}
			return 0, io.EOF
		}
		q.cond.Wait()
	}
	it := r.items[0]
	if it.gap == nil {
		n = copy(b, it.rest)
		it.rest = it.rest[n:]
		q.unread -= int64(n)
	} else {
		err = &GapError{*it.gap}
	}
	if len(it.rest) == 0 {
		r.items = r.items[1:]
	}
	ack := q.nextAck()
	q.mu.Unlock()
	if ack != nil {
		ack()
	}
	return n, err
}
