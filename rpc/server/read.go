package server

import (
	"context"
	"strconv"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// read replies with the events after a position in a session's log, as soon as there is one.
func read(r *request, p *rpc.ReadParams) answer {
	s, err := r.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	p.AfterSeq = afterSince(s, p.AfterSeq, p.Since)
	sub := r.conn.subscription(s)
	if sub != nil {
		sub.readFrom(p.AfterSeq)
	}
	rd := newReading(r.conn, s, p)
	r.cleanup = rd.close
	return later(func(ctx context.Context) (any, error) {
		wait, cancel := within(ctx, p.Timeout)
		defer cancel()
		if err := rd.await(ctx, wait.Done()); err != nil {
			return nil, err
		}
		if err := r.conn.mayStillRead(s); err != nil {
			return nil, err
		}
		r.orderedAfter = rd.bound(sub)
		return lazyResult(rd.encode), nil
	})
}

// reading is one read: a cursor of its own on the log, and its bounds.
type reading struct {
	s       *session.Session
	of      named
	dialect *dialect
	cursor  *stream.Cursor
	ready   chan struct{}
	release func()
	after   int64
	last    int64 // the position at which the read ends
	max     int64 // most bytes of output
}

func newReading(c *conn, s *session.Session, p *rpc.ReadParams) *reading {
	rd := &reading{s: s, of: c.named(s), dialect: c.dialect, ready: make(chan struct{}, 1), after: p.AfterSeq, max: rpc.MaxFrameBytes}
	if p.MaxBytes != nil {
		rd.max = min(*p.MaxBytes, rd.max)
	}
	rd.release = c.hold(s)
	rd.cursor = s.Cursor(stream.CursorOptions{After: p.AfterSeq, Spool: true, Ready: func() {
		select {
		case rd.ready <- struct{}{}:
		default:
		}
	}})
	return rd
}

func (rd *reading) close() {
	rd.cursor.Close()
	rd.release()
}

// await waits until there is something to read, the log has ended, or the time of the read is over. It
// waits longer for what is read from the disk, since that is there already.
func (rd *reading) await(ctx context.Context, over <-chan struct{}) error {
	done := rd.s.Done()
	for !rd.cursor.Pending() && !rd.atEnd() {
		select {
		case <-rd.ready:
		case <-done:
			if v := rd.s.View(); v.Failure != nil && !v.FailureKept {
				return v.Failure
			}
			done = nil // the last event is in the log
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over:
			if ctx.Err() != nil || !rd.cursor.Loading() {
				return context.Cause(ctx) // nil if only the time is over
			}
			over = nil
		}
	}
	return nil
}

// atEnd reports whether the completion record was read, or the session has failed in the queue, so that
// no event follows which advances the position.
func (rd *reading) atEnd() bool {
	v := rd.s.View()
	if v.FailureKept {
		return isDone(rd.s.Done())
	}
	return v.Record != nil && max(rd.cursor.Seq(), rd.after) >= v.Record.Seq
}

// bound sets the position at which the read ends. If the connection has a subscription of the
// session, the reply is ordered after the same events of the subscription, and bound returns the
// channel to wait for. The reply is not ordered after a subscription with a window, which may wait
// for the client.
func (rd *reading) bound(sub *subscription) (sent <-chan struct{}) {
	v := rd.s.View()
	rd.last = v.Last
	switch {
	case sub == nil:
	case sub.stream && sub.window == 0:
		return sub.waitFor(v.Last)
	case !sub.stream && v.Record != nil:
		return sub.waitFor(v.Record.Seq)
	}
	return nil
}

// addNotes makes a read from the beginning return process.queued and process.failed too, which do not
// advance the position. The read does not return because of them, unless the session has failed:
// otherwise a client that reads again would get them at once again.
func (rd *reading) addNotes(add func(*stream.Item)) {
	if rd.after > 0 || !rd.s.Waits() {
		return
	}
	notes := rd.s.Cursor(stream.CursorOptions{Notes: true})
	defer notes.Close()
	for it, ok := notes.NextNote(); ok; it, ok = notes.NextNote() {
		add(&it)
	}
}

const (
	// eventBytes is an upper bound of the JSON of an event without its output.
	eventBytes = 2 << 10
	// maxExpansion is the most bytes of JSON per byte of output: \u0000.
	maxExpansion = 6
)

// encode returns the result: the events up to the end of the read, or as many as fit into the
// reply.
func (rd *reading) encode() []byte {
	e := newEventEncoder(rd.of, rd.s.Spec(), rd.dialect)
	guess := max(0, min(rd.last-rd.cursor.Seq(), rd.max, rpc.MaxFrameBytes-maxReplyOverhead))
	b := append(make([]byte, 0, guess*65/64+eventBytes), `{"events":[`...)
	empty := len(b)
	at, done, left := min(rd.after, rd.last), rd.atEnd(), rd.max
	add := func(it *stream.Item) {
		if len(b) > empty {
			b = append(b, ',')
		}
		b = e.appendEvent(b, it)
		done = done || isLast(it)
	}
	rd.addNotes(add)
	for !done && left > 0 && rd.cursor.Seq() < rd.last {
		room := int64(rpc.MaxFrameBytes-maxReplyOverhead-len(b))/maxExpansion - eventBytes
		if room <= 0 {
			break
		}
		it, ok := rd.cursor.NextUpTo(min(room, left))
		if !ok {
			break
		}
		add(&it)
		at, left = it.To, left-int64(len(it.Data))
	}
	for rd.cursor.Seq() == rd.last {
		it, ok := rd.cursor.NextNote()
		if !ok {
			break
		}
		add(&it)
	}
	rd.cursor.Release()
	b = strconv.AppendInt(append(b, `],"last_seq":`...), at, 10)
	return withInput(append(strconv.AppendBool(append(b, `,"done":`...), done), '}'), rd.s)
}
