package session

import (
	"cmp"
	"context"

	"github.com/runnel-rpc/runnel/session/screen"
	"github.com/runnel-rpc/runnel/stream"
)

// The size that a terminal is taken to have had if it is not known: that of a session whose server ended
// without writing its record.
const (
	unknownRows = 24
	unknownCols = 80
)

// ScreenSizes returns the sizes of the session's terminal for screen.Feed, oldest first. There is one at least.
func (s *Session) ScreenSizes() []screen.Size {
	var all []screen.Size
	for _, size := range s.Sizes() {
		all = append(all, screen.Size{Seq: size.Seq, Rows: size.Rows, Cols: size.Cols})
	}
	if len(all) == 0 {
		one := screen.Size{Rows: unknownRows, Cols: unknownCols}
		if t := s.spec.Program.Terminal; t != nil {
			one.Rows, one.Cols = cmp.Or(t.Rows, one.Rows), cmp.Or(t.Cols, one.Cols)
		}
		all = append(all, one)
	}
	return all
}

// ScreenFeed returns the output from which the session's screen at a position of the log is computed, which has
// to be visible: at most screen.MaxFeed positions before it. It waits for what it reads from the disk until
// ctx is done. Then the error is the cause of ctx.
func (s *Session) ScreenFeed(ctx context.Context, seq int64) (*screen.Feed, error) {
	ready := make(chan struct{}, 1)
	start := max(0, seq-screen.MaxFeed)
	cursor := s.log.NewCursor(stream.CursorOptions{After: start, Spool: true, Ready: func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}})
	defer cursor.Close()
	feed := new(screen.Feed)
	if start > 0 {
		feed.Middle()
	}
	for cursor.Seq() < seq {
		it, ok := cursor.NextUpTo(seq - cursor.Seq())
		switch {
		case !ok:
			select {
			case <-ready:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		case it.Gap:
			feed.Middle()
		case it.Kind != stream.Event:
			feed.Add(it.From, it.Data)
		}
	}
	return feed, nil
}
