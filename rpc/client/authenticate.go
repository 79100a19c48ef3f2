package client

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// renewBefore is how long before the credential expires the client looks for a new token.
const renewBefore = time.Minute

// renewInterval is the time between two looks. A test sets a shorter one.
var renewInterval = 5 * time.Second

// UnauthorizedError is the error of a connection that the server has closed because the credential
// has expired or was revoked (close code 4401). It is wrapped in ErrClosed. The client reconnects only
// with a new token or certificate.
type UnauthorizedError struct{ Reason string }

func (e *UnauthorizedError) Error() string {
	return "the server does not accept the credential any more: " + e.Reason
}

// Authenticate renews the credential of the connection by a token of the same principal. Later
// connections of the client use it too, unless Options.TokenSource returns another one then.
func (c *Client) Authenticate(ctx context.Context, token string) (*rpc.AuthenticateResult, error) {
	conn, err := c.awaitConnection(ctx)
	if err != nil {
		return nil, err
	}
	return conn.authenticate(ctx, token)
}

func (conn *connection) authenticate(ctx context.Context, token string) (*rpc.AuthenticateResult, error) {
	var r rpc.AuthenticateResult
	accepted := func() { conn.use(token) } // at once: the connection may end, and the next one be made
	if err := conn.callThen(ctx, rpc.MethodAuthenticate, rpc.AuthenticateParams{Token: token}, &r, accepted); err != nil {
		return nil, err
	}
	return &r, nil
}

// use makes a token, which the server has accepted, that of the connection and of later ones.
func (conn *connection) use(token string) {
	conn.mu.Lock()
	conn.token = token
	conn.mu.Unlock()
	conn.c.mu.Lock()
	conn.c.renewal = token
	conn.c.mu.Unlock()
}

func (conn *connection) currentToken() string {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.token
}

// token returns the token for a new connection.
func (c *Client) token(ctx context.Context) (string, error) {
	if c.o.TokenSource != nil {
		return c.o.TokenSource(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewal != "" {
		return c.renewal, nil
	}
	return c.o.Token, nil
}

// keepAuthenticated renews the credential when it is about to expire and the source of tokens has a
// new one. It returns when the connection is closed, or the credential does not expire.
func (conn *connection) keepAuthenticated() {
	defer close(conn.renewed)
	select {
	case <-conn.ready:
	case <-conn.done:
		return
	}
	expires := conn.connected.Expires
	for conn.c.o.TokenSource != nil {
		at, err := time.Parse(time.RFC3339, expires)
		if err != nil { // it does not expire
			return
		}
		wait := time.NewTimer(untilRenewal(time.Until(at)))
		select {
		case <-wait.C:
		case <-conn.done:
			wait.Stop()
			return
		}
		expires = conn.renewFromSource(expires)
	}
}

// untilRenewal returns when to look for a new token, if the credential expires after left: renewBefore
// earlier, or after half of the time if it is shorter.
func untilRenewal(left time.Duration) time.Duration {
	return max(left-renewBefore, min(left/2, renewBefore), renewInterval)
}

// renewFromSource authenticates with the token of the source if it is a new one. It returns when the
// credential expires then.
func (conn *connection) renewFromSource(expires string) string {
	ctx, cancel := context.WithTimeout(conn.ctx, attemptTimeout)
	defer cancel()
	token, err := conn.c.o.TokenSource(ctx)
	if err != nil || token == "" || token == conn.currentToken() {
		return expires
	}
	r, err := conn.authenticate(ctx, token)
	if err != nil { // the server closes the connection when the old one has expired
		return expires
	}
	return r.Expires
}

// mayReconnect returns an error if the server has closed a connection because of its credential, and
// the client has no other one.
func (c *Client) mayReconnect(ctx context.Context, old *connection) error {
	var closed websocket.CloseError
	if !errors.As(old.cause, &closed) || closed.Code != rpc.CloseUnauthorized {
		return nil
	}
	token, err := c.token(ctx)
	switch {
	case err == nil && token != old.currentToken():
		return nil
	case err == nil && token == "" && c.o.TLS != nil && c.o.TLS.GetClientCertificate != nil: // it may be a new one
		return nil
	}
	return &UnauthorizedError{closed.Reason}
}
