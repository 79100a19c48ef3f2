package stream

import "context"

// CaptureStored is [Log.Capture] for a log whose output is no longer in memory: it reads the
// source. It looks for the output in as much of the beginning and of the end of the log as
// LogOptions.Bound, or newest if that is more, and returns less if there is not that much of a
// kind, or a part is unreadable.
func (l *Log) CaptureStored(ctx context.Context, oldest, newest int64) (Capture, error) {
	_, end := l.Bounds()
	span := max(l.bound, oldest, newest)
	heads := NewLog(LogOptions{Bound: 1, KeepHead: oldest})
	if oldest > 0 {
		err := l.readStored(ctx, 0, min(span, end), func(it *Item) bool {
			heads.appendItem(it)
			return !it.Gap
		})
		if err != nil {
			return Capture{}, err
		}
	}
	tails := newTails(newest)
	err := l.readStored(ctx, max(0, end-span), end, func(it *Item) bool {
		if it.Gap {
			tails = newTails(newest) // the newest output is contiguous
		}
		tails.appendItem(it)
		return true
	})
	if err != nil {
		return Capture{}, err
	}
	l.mu.Lock()
	tails.heads, tails.appended = heads.heads, l.appended
	l.mu.Unlock()
	c := tails.Capture(oldest, newest)
	c.Seq = end
	return c, nil
}

// newTails returns a log that keeps only the newest bytes of each kind, one more than are captured.
func newTails(newest int64) *Log { return NewLog(LogOptions{Bound: 1, Keep: newest + 1}) }

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
		select {
		case <-ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
