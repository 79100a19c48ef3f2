package stream

import "context"

// CaptureStored is [Log.Capture] for a log of which memory has less than was asked for: it reads the source.
// It looks for the output in as much of the beginning and of the end of the log as LogOptions.Bound, or
// oldest or newest if that is more, and returns less if there is not that much of a kind, or a part is
// unreadable. oldest is not bounded by LogOptions.KeepHead. It does not return what is not visible yet.
func (l *Log) CaptureStored(ctx context.Context, oldest, newest int64) (Capture, error) {
	l.mu.Lock()
	end, appended := l.end.seq, l.appended
	l.mu.Unlock()
	if err := wait(ctx, l.Settled(end)); err != nil {
		return Capture{}, err
	}
	r := storedCapture{oldest: oldest, newest: newest, heads: newHeads(oldest), tails: newTails(newest)}
	span := max(l.bound, oldest, newest)
	apart := end > 2*span // something between the head and the tail is not read
	if oldest > 0 && apart {
		headEnds := false
		err := l.readStored(ctx, 0, span, func(it *Item) bool {
			headEnds = it.Gap
			r.addHead(it)
			return !headEnds
		})
		if err != nil {
			return Capture{}, err
		}
	}
	from := int64(0)
	if apart {
		from = end - span
	}
	gap := false
	err := l.readStored(ctx, from, end, func(it *Item) bool {
		gap = gap || it.Gap
		if !apart && !gap {
			r.addHead(it)
		}
		r.addTail(it)
		return true
	})
	if err != nil {
		return Capture{}, err
	}
	return r.capture(end, appended), nil
}

// storedCapture collects what CaptureStored returns.
type storedCapture struct {
	oldest, newest int64
	heads, tails   *Log
	seen           [kinds]int64 // bytes of output read
	gap            bool         // the newest item but for events is a gap
}

// newHeads returns a log that keeps only the oldest bytes of each kind.
func newHeads(oldest int64) *Log { return NewLog(LogOptions{Bound: 1, KeepHead: oldest}) }

// newTails returns a log that keeps only the newest bytes of each kind, one more than are captured.
func newTails(newest int64) *Log { return NewLog(LogOptions{Bound: 1, Keep: newest + 1}) }

func (r *storedCapture) addHead(it *Item) { r.heads.appendItem(it) }

// addTail adds an item to the newest output, which is what follows the last gap. If nothing follows that, it
// is what precedes it, unless it could then overlap with the oldest output.
func (r *storedCapture) addTail(it *Item) {
	if it.Gap {
		r.gap = true
		if r.oldest > 0 {
			r.tails = newTails(r.newest)
		}
		return
	}
	if it.Kind == Event {
		return
	}
	if r.gap {
		r.gap, r.tails = false, newTails(r.newest)
	}
	r.tails.appendItem(it)
	r.seen[it.Kind] += int64(len(it.Data))
}

// capture returns what was collected of a log with that end. appended is 0 for all kinds if a crash has left
// the sums unknown; then what is omitted is at least what the result says.
func (r *storedCapture) capture(end int64, appended [kinds]int64) Capture {
	if appended == ([kinds]int64{}) {
		appended = r.seen
	}
	r.tails.heads, r.tails.appended = r.heads.heads, appended
	c := r.tails.Capture(r.oldest, r.newest)
	c.Seq = end
	return c
}

// appendItem appends output that was read from another log.
func (l *Log) appendItem(it *Item) {
	if it.Kind != Event && !it.Gap {
		l.Append(Piece{Kind: it.Kind, Data: it.Data, Truncated: it.Truncated})
	}
}

// readStored calls f with the items between two positions, until it returns false.
func (l *Log) readStored(ctx context.Context, from, to int64, f func(*Item) bool) error {
	ready := make(chan struct{}, 1)
	c := l.NewCursor(CursorOptions{After: from, Spool: true, Ready: func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}})
	defer c.Close()
	defer c.Release()
	for at := c.Seq(); at < to; at = c.Seq() {
		it, ok := c.NextUpTo(min(to-at, MaxPiece))
		if ok {
			if !f(&it) {
				return nil
			}
			continue
		}
		if err := wait(ctx, ready); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for a channel, which may be nil if there is nothing to wait for.
func wait(ctx context.Context, c <-chan struct{}) error {
	if c == nil {
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
