//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// errNoConnection is the error of connect if the server closed the TCP connection before the
// upgrade, as it may while clients without a token flood it.
var errNoConnection = errors.New("no connection")

// soakClient is a connection of an actor.
type soakClient struct {
	*client.Client
	a    *actor
	what string // the action that made it
	records

	mu   sync.Mutex
	link *link
}

// resetLink resets the present network connection.
func (c *soakClient) resetLink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link.reset()
}

// link is the network connection of a client.
type link struct {
	net.Conn
	delay atomic.Int64 // of each read, in nanoseconds
	most  atomic.Int64 // bytes of a read; 0: no bound
}

// Read reads slowly if the link has a delay.
func (l *link) Read(p []byte) (int, error) {
	if d := l.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d)) // the client is slow
	}
	if most := l.most.Load(); most > 0 {
		p = p[:min(int64(len(p)), most)]
	}
	return l.Conn.Read(p)
}

// slow makes the client read at most so many bytes each time, and wait before.
func (l *link) slow(delay time.Duration, most int64) {
	l.most.Store(most)
	l.delay.Store(int64(delay))
}

// reset closes the connection with RST: by SO_LINGER 0 (tcp(7)), or by unread data (unix(7)).
func (l *link) reset() {
	if c, ok := l.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = l.Conn.Close()
}

// dialLink connects to the server over TCP or its Unix socket.
func (a *actor) dialLink(ctx context.Context, unix bool) (*link, error) {
	network, address := "tcp", hostOf(a.url)
	if unix {
		network, address = "unix", a.dir.socket()
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &link{Conn: c}, err
}

// connect connects with the client library, over TCP or the Unix socket.
func (a *actor) connect(ctx context.Context, what string) (*soakClient, error) {
	return a.connectWith(ctx, what, client.Options{})
}

func (a *actor) connectWith(ctx context.Context, what string, o client.Options) (*soakClient, error) {
	c := &soakClient{a: a, what: what, records: newRecords(a)}
	unix := a.chance(4)
	o.Raw = c.raw
	o.Token, o.TLS = a.credential(), a.access.tls()
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		l, err := a.dialLink(ctx, unix)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.link = l
		return l, err
	}
	var err error
	url := a.url
	if unix {
		url = socketURL // has no TLS
	}
	c.Client, err = client.Dial(ctx, url, o)
	var refusal *client.RefusedError
	if err != nil && !errors.As(err, &refusal) && ctx.Err() == nil && !unix {
		err = fmt.Errorf("%w: %v", errNoConnection, err)
	}
	return c, err
}

// newID returns a session id that depends on the seed.
func (a *actor) newID() string {
	id, _ := uuid.NewRandomFromReader(randomReader{a.random})
	return id.String()
}

// randomReader reads random bytes.
type randomReader struct{ *rand.Rand }

func (r randomReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// execute starts a session, with an id that the ledger knows. Its record is awaited by the recorder.
func (c *soakClient) execute(ctx context.Context, p rpc.ExecuteParams, e client.Events) (*client.Session, error) {
	if p.SessionID == "" {
		p.SessionID = c.a.newID()
	}
	c.ledger.ask(c.key(p.SessionID), c.what)
	e.Raw = c.raw
	s, err := c.Execute(ctx, p, e)
	c.ledger.answer(c.key(p.SessionID), err)
	if err == nil {
		c.a.recorder().follow(p.SessionID, p.Linger.Set)
	}
	return s, err
}

// run starts a session and waits for its completion record.
func (c *soakClient) run(ctx context.Context, p rpc.ExecuteParams, e client.Events) (*rpc.Completion, error) {
	s, err := c.execute(ctx, p, e)
	if err != nil {
		return nil, err
	}
	return s.Wait(ctx)
}

// shell returns the params of a shell command.
func shell(command string) rpc.ExecuteParams {
	return rpc.ExecuteParams{Command: rpc.Command{Shell: command}}
}

// argv returns the params of a program with arguments.
func argv(args ...string) rpc.ExecuteParams {
	return rpc.ExecuteParams{Command: rpc.Command{Argv: args}}
}

// seconds returns a duration of the params.
func seconds(s float64) rpc.Seconds {
	return rpc.Seconds{Set: true, D: time.Duration(s * float64(time.Second))}
}

// recorder learns the completion record of every session of a principal, over a connection of its
// own, so that it is known whatever happens to the client.
type recorder struct {
	*client.Client
	soak      *soak
	principal string
	pending   sync.WaitGroup
}

func newRecorder(s *soak, p principal) *recorder {
	c, err := s.dialOverWith(s.t.Context(), client.Options{
		Token: p.token, Reconnect: &client.Reconnect{Timeout: soakActionTimeout}, // if this process was not scheduled for long
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &recorder{Client: c, soak: s, principal: p.name}
}

// follow waits for the end of a session. A pending wait keeps a session from lingering: for one
// that is to linger, its status is asked for instead.
func (r *recorder) follow(id string, lingers bool) {
	r.pending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soakActionTimeout)
		defer cancel()
		rec, err := r.await(ctx, id, lingers)
		switch {
		case err == nil:
			r.soak.ledger.completed(sessionKey{r.principal, id}, rec)
		case !notFound(err): // it may have been removed already; then a client has its record
			r.soak.t.Errorf("waiting for session %s: %v", id, err)
		}
	})
}

func (r *recorder) await(ctx context.Context, id string, lingers bool) (*rpc.Completion, error) {
	var captured rpc.Captured
	if !lingers {
		err := r.CallIdempotent(ctx, rpc.MethodWait, rpc.WaitParams{SessionID: id}, &captured)
		return &captured.Completion, err
	}
	for {
		var status rpc.StatusResult
		err := r.CallIdempotent(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: id}, &status)
		if err != nil || status.Completion != nil {
			return status.Completion, err
		}
		time.Sleep(50 * time.Millisecond) // until it is asked again
	}
}

// close waits for the records of all sessions.
func (r *recorder) close() {
	r.pending.Wait()
	_ = r.Close()
}
