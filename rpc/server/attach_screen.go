package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/screen"
)

// paintTimeout is how long a screen waits for output that is on the disk.
const paintTimeout = 10 * time.Second

// checkScreen returns the error of the params of an attach that concern the screen.
func checkScreen(s *session.Session, p *rpc.AttachParams) *rpc.Error {
	switch {
	case !p.Screen && p.Rows != 0:
		return rpc.InvalidParams("rows", "rows is for screen only")
	case !p.Screen && p.Cols != 0:
		return rpc.InvalidParams("cols", "cols is for screen only")
	case !p.Screen:
		return nil
	case s.Spec().Program.Terminal == nil:
		return rpc.InvalidParams("screen", "screen is for pty sessions only")
	case p.AfterSeq != 0:
		return rpc.InvalidParams("after_seq", "screen has no after_seq")
	case p.Since.Set && !p.Since.Null:
		return rpc.InvalidParams("since", "screen has no since")
	case p.Rows != 0 && p.Cols == 0:
		return rpc.InvalidParams("cols", "cols is required with rows")
	case p.Cols != 0 && p.Rows == 0:
		return rpc.InvalidParams("rows", "rows is required with cols")
	case p.Rows != 0 && screen.CheckSize(p.Rows, p.Cols) != nil:
		return rpc.InvalidParams("rows", "rows times cols is at most %d for a screen", screen.MaxCells)
	}
	return nil
}

// attachScreen is attach with screen: the connection is attached now, and the events begin when the screen is
// painted.
func attachScreen(r *request, s *session.Session, p *rpc.AttachParams, watches bool) answer {
	c := r.conn
	if err := r.resizeFor(s, p); err != nil {
		return result(nil, err)
	}
	sizes := s.ScreenSizes()
	if size := sizes[len(sizes)-1]; screen.CheckSize(size.Rows, size.Cols) != nil {
		return result(nil, rpc.InvalidParams("screen", "a terminal of %d rows and %d columns has more than %d cells",
			size.Rows, size.Cols, screen.MaxCells))
	}
	v := s.View() // after ScreenSizes: no size in it is of a later position than the resize above
	seq := v.Last
	if v.Record != nil {
		seq = min(seq, v.Record.Seq-1) // the record follows
	}
	sub, bad := c.attach(s, p, seq, watches)
	if bad != nil {
		return result(nil, bad)
	}
	res := rpc.AttachResult{SessionID: c.name(s), State: v.State.String(), OldestSeq: v.Oldest, LastSeq: v.Last}
	paints := make(chan struct{}, 1)
	r.cleanup = func() {
		if len(paints) > 0 {
			<-c.painting
		}
	}
	return later(func(ctx context.Context) (any, error) {
		// Until the reply is in the control queue, the connection has no other screen in memory.
		err := put(ctx, c.painting)
		if err == nil {
			paints <- struct{}{}
			var text []byte
			if text, err = c.paint(ctx, s, seq, sizes); err == nil {
				r.afterReply(true, func() {
					c.update(func(st *connStatus) {
						if !sub.closed {
							st.queue(frame(frameText, text))
						}
					})
					sub.activate()
				})
				return res, nil
			}
		}
		c.detach(sub)
		return nil, err
	})
}

// put waits until tokens has room for one. The error is the cause of ctx.
func put(ctx context.Context, tokens chan<- struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// resizeFor resizes the terminal for an attach, if the caller may call control. A session that does not run is not resized.
func (r *request) resizeFor(s *session.Session, p *rpc.AttachParams) error {
	if p.Rows == 0 {
		return nil
	}
	err := r.conn.authorize(rpc.MethodControl, &rpc.ControlParams{
		SessionID: p.SessionID, Type: rpc.ControlResize, Rows: p.Rows, Cols: p.Cols,
	})
	if err == nil {
		err = s.Resize(p.Rows, p.Cols)
	}
	var state *session.StateError
	if errors.As(err, &state) {
		err = nil
	}
	r.conn.auditControl(s, p.SessionID, audit.Control{Action: rpc.ControlResize}, err)
	return err
}

// maxPaints is how many screens the server computes at the same time, maxPaintsOfPrincipal of them for one
// principal, whose requests wait for each other.
const (
	maxPaints            = 2
	maxPaintsOfPrincipal = 1
)

// paint returns the notification process.screen.
func (c *conn) paint(ctx context.Context, s *session.Session, seq int64, sizes []screen.Size) ([]byte, error) {
	if !c.waitRoom() {
		return nil, context.Cause(c.ctx)
	}
	held, err := c.server.paints.Take(ctx, c.principal, 1)
	if err != nil {
		return nil, err
	}
	defer held.Release()
	p := rpc.Screen{SessionID: c.name(s), Seq: seq, Rows: sizes[len(sizes)-1].Rows, Cols: sizes[len(sizes)-1].Cols}
	text, err := c.compute(ctx, s, p, sizes)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		c.log().Warn().Err(err).Str("session", s.ID()).Msg("screen is painted empty")
		x, err := screen.New(p.Rows, p.Cols)
		if err != nil {
			return nil, err
		}
		p.Data = x.Paint(screen.Plain)
		text = notification(rpc.NotifyScreen, p)
	}
	return text, nil
}

// compute returns the notification with what the session's terminal shows. A panic is an error.
func (c *conn) compute(ctx context.Context, s *session.Session, p rpc.Screen, sizes []screen.Size) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log().Error().Interface("panic", p).Str("session", s.ID()).Bytes("stack", debug.Stack()).Msg("screen panicked")
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, paintTimeout)
	defer cancel()
	feed, err := s.ScreenFeed(ctx, p.Seq)
	if err != nil {
		return nil, err
	}
	turn := c.server.turns.enter(c.principal, 0)
	defer turn.leave()
	c.server.reached(checkpointPaint)
	x, err := feed.Screen(sizes)
	if err != nil {
		return nil, err
	}
	for _, detail := range screen.Details {
		p.Data = x.Paint(detail)
		if text := notification(rpc.NotifyScreen, p); len(text) <= rpc.MaxFrameBytes {
			return text, nil
		}
	}
	return nil, errors.New("a screen exceeds a message")
}
