package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// Reconnect configures how a client dials again after its connection was lost, or was closed by the
// server with any code except 4401: with 1012 the server is restarting, and with 1001 another one may
// take its place. It then attaches to its sessions, after the last event that it received of each: no
// event is delivered twice, and events that the server's log no longer has are reported as a gap. A
// session whose on_disconnect is not "keep" ends when its connection is lost, and its completion
// record says so.
type Reconnect struct {
	// Timeout is how long the client tries to reconnect; 0 means 5 minutes.
	Timeout time.Duration
	// MinDelay and MaxDelay bound the delay between two attempts, which doubles each time; 0 means
	// 50 ms and 5 s.
	MinDelay, MaxDelay time.Duration
	// Dropped, if not nil, is called with the reason when a connection was lost, and Restored when
	// the next one is in use.
	Dropped  func(error)
	Restored func()
}

const (
	defaultTimeout  = 5 * time.Minute
	defaultMinDelay = 50 * time.Millisecond
	defaultMaxDelay = 5 * time.Second
	// attemptTimeout bounds one attempt to connect.
	attemptTimeout = 10 * time.Second
	// minLifetime is how long a connection must have existed for the first attempt to be made
	// without a delay.
	minLifetime = time.Second
)

// maintain owns the connection: when it is lost, maintain makes the next one or closes the client.
func (c *Client) maintain(conn *connection) {
	defer close(c.done)
	for {
		start := time.Now()
		<-conn.done
		conn.release()
		next, err := c.redial(conn, time.Since(start) < minLifetime)
		if err != nil {
			c.closeSessions(err)
			return
		}
		c.setConnection(next)
		if f := c.o.Reconnect.Restored; f != nil {
			f()
		}
		conn = next
	}
}

// redial makes a connection that replaces old, with all sessions attached. With delay it waits
// before the first attempt.
func (c *Client) redial(old *connection, delay bool) (*connection, error) {
	r := c.o.Reconnect
	cause := closeReason(old.cause)
	if r == nil || c.ctx.Err() != nil {
		return nil, cause
	}
	if err := c.mayReconnect(c.ctx, old); err != nil {
		return nil, err
	}
	if r.Dropped != nil {
		r.Dropped(cause)
	}
	ctx, cancel := context.WithTimeout(c.ctx, orDefault(r.Timeout, defaultTimeout))
	defer cancel()
	wait := orDefault(r.MinDelay, defaultMinDelay)
	for {
		if delay {
			select {
			case <-time.After(wait/2 + rand.N(wait/2+1)): // random, so that a server's clients do not all return at once
			case <-ctx.Done():
				return nil, cause
			}
			wait = min(2*wait, orDefault(r.MaxDelay, defaultMaxDelay))
		}
		delay = true
		conn, err := c.dialAndAttach(ctx)
		if err == nil {
			return conn, nil
		}
		if permanent(err) {
			return nil, err
		}
	}
}

// permanent reports whether another attempt would fail, too.
func permanent(err error) bool {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden
	}
	return certificateRefused(err)
}

// certificateRefused reports whether the server has refused the certificate of the client, by an alert
// of TLS (RFC 8446 §6.2).
func certificateRefused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// dialAndAttach makes a connection and attaches to every session on it.
func (c *Client) dialAndAttach(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	sessions := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	c.mu.Unlock()
	for _, s := range sessions {
		if err := s.attachOn(ctx, conn); err != nil {
			_ = conn.abort()
			return nil, err
		}
	}
	return conn, nil
}

// setConnection makes conn the current connection.
func (c *Client) setConnection(conn *connection) {
	c.mu.Lock()
	c.conn = conn
	close(c.changed)
	c.changed = make(chan struct{})
	canceled := c.ctx.Err() != nil
	c.mu.Unlock()
	if canceled { // Close was called meanwhile, and has closed the old connection
		_ = conn.netConn.socket.Close()
	}
}

// closeSessions closes the client, and ends its sessions with the error.
func (c *Client) closeSessions(err error) {
	c.cancel()
	c.mu.Lock()
	c.err = err
	sessions := c.sessions
	c.sessions = nil
	close(c.changed)
	c.mu.Unlock()
	for _, s := range sessions {
		s.fail(c.closedError())
	}
}
