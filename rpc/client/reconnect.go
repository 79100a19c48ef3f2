package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// Reconnect says how a client that lost its connection makes another one. The sessions that it follows are
// attached to again behind the last event that was told of each, so that nothing is told twice, and what is
// lost, because the server's log did not reach back so far, is told as a gap. A session whose policy is not
// "keep" is ended by the drop, and its record says so.
type Reconnect struct {
	// Timeout is how long it is tried after a drop; 0 means 5 minutes.
	Timeout time.Duration
	// MinDelay and MaxDelay bound the time between two tries, which doubles; 0 means 50 ms and 5 s.
	MinDelay, MaxDelay time.Duration
	// Dropped, if not nil, is told of each drop, and Restored when there is a connection again.
	Dropped  func(error)
	Restored func()
}

const (
	reconnectTimeout = 5 * time.Minute
	minDelay         = 50 * time.Millisecond
	maxDelay         = 5 * time.Second
	// dialTimeout is how long one try may take.
	dialTimeout = 10 * time.Second
	// shortLife is that of a connection whose drop is not answered at once.
	shortLife = time.Second
)

// keep owns the connection: when it is over it makes the next one, or ends the client.
func (c *Client) keep(l *link) {
	defer close(c.done)
	for {
		born := time.Now()
		<-l.done
		l.shut()
		next, err := c.redial(l, time.Since(born) < shortLife)
		if err != nil {
			c.giveUp(err)
			return
		}
		c.use(next)
		if f := c.o.Reconnect.Restored; f != nil {
			f()
		}
		l = next
	}
}

// redial makes a connection in place of one that is lost, with all sessions attached. It waits before the
// first try where that one lived a moment only.
func (c *Client) redial(old *link, wait bool) (*link, error) {
	r := c.o.Reconnect
	cause := lost(old.cause)
	if r == nil || c.over.Err() != nil {
		return nil, cause
	}
	if r.Dropped != nil {
		r.Dropped(cause)
	}
	ctx, cancel := context.WithTimeout(c.over, positive(r.Timeout, reconnectTimeout))
	defer cancel()
	delay := positive(r.MinDelay, minDelay)
	for {
		if wait {
			select {
			case <-time.After(delay/2 + rand.N(delay/2+1)): // or all clients of a server come back at once
			case <-ctx.Done():
				return nil, cause
			}
			delay = min(2*delay, positive(r.MaxDelay, maxDelay))
		}
		wait = true
		l, err := c.try(ctx)
		if err == nil {
			return l, nil
		}
		if final(err) {
			return nil, err
		}
	}
}

// final reports whether trying again can't help.
func final(err error) bool {
	var no *RefusedError
	return errors.As(err, &no) && (no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden)
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// try dials, and attaches to every session that runs.
func (c *Client) try(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	l, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	all := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		if err := s.reattach(ctx, l); err != nil {
			_ = l.abort()
			return nil, err
		}
	}
	return l, nil
}

// use makes l the connection.
func (c *Client) use(l *link) {
	c.mu.Lock()
	c.link = l
	close(c.changed)
	c.changed = make(chan struct{})
	stopped := c.over.Err() != nil
	c.mu.Unlock()
	if stopped { // Close came meanwhile, and closed the old one
		_ = l.conn.socket.Close()
	}
}

// giveUp ends the client and tells the sessions.
func (c *Client) giveUp(err error) {
	c.stop()
	c.mu.Lock()
	c.err = err
	sessions := c.sessions
	c.sessions = nil
	close(c.changed)
	c.mu.Unlock()
	for _, s := range sessions {
		s.lost(c.failure())
	}
}

// reattach follows the session on another connection, from where it stood.
func (s *Session) reattach(ctx context.Context, l *link) error {
	p, running := s.place(l)
	if !running {
		return nil
	}
	err := l.call(ctx, rpc.MethodAttach, p, nil)
	var no *rpc.Error
	if errors.As(err, &no) { // it is forgotten, or never was
		s.c.forget(s)
		s.lost(err)
		return nil
	}
	if err == nil {
		s.mu.Lock()
		s.on = l
		s.mu.Unlock()
	}
	return err
}
