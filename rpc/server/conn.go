package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
)

const (
	// maxBatch is the most items of a batch.
	maxBatch = 64
	// maxIDBytes is the longest id of a request, as it is written.
	maxIDBytes = 1024
	// maxInFlightBytes is the most bytes of params that requests in flight on one connection hold.
	maxInFlightBytes = 64 << 20
	// maxAttached is the most sessions that one connection is attached to. Those that have ended count while
	// something of them is still to be sent.
	maxAttached = 1000
	// silentPings is how many ping intervals a peer may be silent.
	silentPings = 3
)

// conn is one WebSocket: the loop that reads requests, an outbox that writes, the requests in flight and the
// sessions it is attached to.
type conn struct {
	server  *Server
	id      string
	owner   string
	dialect *dialect
	log     zerolog.Logger
	ws      *websocket.Conn
	outbox  *outbox

	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	wg     sync.WaitGroup // requests that wait

	// These belong to the goroutine that reads.
	calls     []wire.Call     // of the current message
	slowStart <-chan struct{} // Ready of the last start that took longer than startInline, or nil

	replying chan struct{} // holds a token while one of those requests makes its reply

	mu       sync.Mutex
	inFlight map[string]*request
	flying   int   // requests, those without an id too
	bytes    int64 // of their params
	owed     int   // requests and batches that are not over yet
	leaving  bool  // the outbox ends when nothing is owed
	lanes    map[string]*lane
	closed   bool // nothing is attached any more
}

// serve runs the connection to its end. When it returns nothing of it is left: no goroutine, no descriptor,
// no attachment.
//
//	peer                                 goroutine of serve                    goroutine per waiting request
//	 │ frames   ┌───────────────┐ text ┌───────────────┐ request ┌─────────┐ wait ┌──────┐
//	 ├─────────→│ messageReader ├─────→│ handleMessage ├────────→│ handler ├─────→│ wait │
//	 │          └───────────────┘      └───────┬───────┘         └────┬────┘      └──┬───┘
//	 │                           malformed call│                result│        result│
//	 │ frames   ┌───────────────┐      ┌───────┴──────────────────────┴──────────────┴───┐
//	 │←─────────┤    outbox     │←─────┤            reply → control queue                │
//	            └───────────────┘      └─────────────────────────────────────────────────┘
func (c *conn) serve() {
	c.log.Debug().Msg("connected")
	go func() {
		c.outbox.run()
		c.cancel()
	}()
	c.outbox.send(notification(rpc.NotifyConnected, c.server.connected(c.id)))
	err := c.readMessages()
	c.cancel()
	c.closeForError(err)
	c.leaveAll()
	<-c.outbox.done
	_ = c.ws.CloseNow()
	c.wg.Wait()
	c.log.Debug().Msg("disconnected")
}

// readMessages begins the requests of each message until the connection fails or is closed. The outbox closes the
// socket when it ends, which ends the reading too. It does not read while the peer does not take its replies.
func (c *conn) readMessages() error {
	reader := messageReader{ws: c.ws}
	for c.outbox.waitRoom() {
		text, err := reader.next()
		if err != nil {
			return err
		}
		c.handleMessage(text)
	}
	return io.EOF
}

// handleMessage begins the requests of one message, in their order, and answers what is malformed. The text is
// not used after it returns.
func (c *conn) handleMessage(text []byte) {
	calls, isBatch, bad := c.dialect.parse(text, maxBatch, c.calls[:0])
	if bad != nil {
		c.outbox.send(errorReply(nil, rpc.MessageError(bad)))
		return
	}
	var b *batch
	if isBatch {
		b = newBatch(c)
		defer b.started()
	}
	for i := range calls {
		if r := c.admit(&calls[i], b); r != nil {
			r.run()
		}
	}
	clear(calls) // they alias the text
	c.calls = calls
}

// closeForError ends the outbox. A peer that violated the protocol is sent the reason; one that is gone is sent
// nothing.
func (c *conn) closeForError(err error) {
	var network net.Error
	var violation *closeError
	switch {
	case errors.As(err, &violation):
		c.outbox.close(closeFrame(uint16(violation.code), violation.reason))
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if network != nil && network.Timeout() {
			c.stuck(fmt.Errorf("nothing came for %v", c.server.idle()))
		}
		c.outbox.abortUnlessClosing()
	default:
		c.outbox.close(closeFrame(uint16(websocket.StatusProtocolError), ""))
	}
}

// goAway ends the connection because the server shuts down. What is in flight is answered and output lanes
// have their turns first.
func (c *conn) goAway() { c.settle(func() { c.leaving = true }) }

// owe counts something that has to be over before the connection goes away.
func (c *conn) owe() { c.settle(func() { c.owed++ }) }

// paid takes it off again, once its reply is in the control lane.
func (c *conn) paid() { c.settle(func() { c.owed-- }) }

func (c *conn) settle(change func()) {
	c.mu.Lock()
	change()
	over := c.leaving && c.owed == 0
	c.mu.Unlock()
	if over {
		c.outbox.finish(closeFrame(uint16(websocket.StatusGoingAway), "shutting down"))
	}
}

// stuck says why the connection ends without the peer's doing. The outbox tells it that it can't write.
func (c *conn) stuck(err error) {
	c.log.Info().Err(err).Msg("peer cut off")
}

// admit lets a well-formed call in and returns the request, or answers why not.
func (c *conn) admit(call *wire.Call, b *batch) *request {
	if call.Response { // the server asks nothing
		return nil
	}
	if len(call.ID) > maxIDBytes {
		call.ID, call.Err = nil, &wire.Error{Reason: fmt.Sprintf("id is longer than %d bytes", maxIDBytes)}
	}
	r := newRequest(c, call, b)
	if b != nil && (r.id != nil || call.Err != nil) {
		b.add()
	}
	if call.Err != nil {
		c.deliver(r, errorReply(r.id, rpc.MessageError(call.Err)))
		return nil
	}
	err := c.enter(r)
	if err == nil {
		if r.method = rpc.LookupMethod(r.Method); r.method != nil {
			return r
		}
		c.landed(r)
		defer c.paid()
		err = rpc.MethodNotFound(r.Method)
	}
	if r.id != nil {
		id := r.id
		if r.key == duplicate {
			id = nil
		}
		c.deliver(r, errorReply(id, err))
	}
	return nil
}

// duplicate is the key of a request whose id is in flight already.
const duplicate = "duplicate"

// enter counts the request as in flight.
func (c *conn) enter(r *request) *rpc.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := idKey(r.id)
	switch {
	case key != "" && c.inFlight[key] != nil:
		r.key = duplicate
		return rpc.DuplicateID(r.id)
	case c.flying >= c.server.o.MaxInFlight:
		return rpc.Overloaded("max_in_flight", int64(c.server.o.MaxInFlight))
	case c.bytes+r.size > maxInFlightBytes:
		return rpc.Overloaded("max_in_flight_bytes", maxInFlightBytes)
	}
	c.flying++
	c.owed++
	c.bytes += r.size
	if key != "" {
		r.key = key
		c.inFlight[key] = r
	}
	return nil
}

// idKey is one spelling of an id: strings are compared by what they say, numbers as they are written. A
// notification and a null id have none.
func idKey(id []byte) string {
	if len(id) == 0 || id[0] == 'n' {
		return ""
	}
	if id[0] == '"' && bytes.IndexByte(id, '\\') >= 0 {
		var s string
		if json.Unmarshal(id, &s) == nil {
			return `"` + s + `"`
		}
	}
	return string(id)
}

// landed takes a request out of flight: its id may be used again.
func (c *conn) landed(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying--
	c.bytes -= r.size
	if r.key != "" {
		delete(c.inFlight, r.key)
	}
}

// deliver puts a reply into its batch or the control lane.
func (c *conn) deliver(r *request, message []byte) {
	switch {
	case message == nil:
	case r.batch != nil:
		r.batch.reply(r.id, message)
	default:
		c.outbox.send(message)
	}
}

// waits notes how a request that waits is canceled.
func (c *conn) waits(r *request, cancel context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.cancel = cancel
}

// cancelRequest cancels the request of that id, if it waits.
func (c *conn) cancelRequest(id []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.inFlight[idKey(id)]; r != nil && r.cancel != nil {
		r.cancel(errCanceled)
	}
}

// attach makes a lane for a session, which does not take turns before its begin. If there is one already it is
// moved where o says so, else returned as it is.
func (c *conn) attach(s Session, o attachOptions) (l *lane, attached bool) {
	l, attached = c.makeLane(s, o)
	select {
	case <-s.Done():
		if s.View().Failure != nil { // its lanes were evicted before this one was there
			c.finished(l)
		}
	default:
	}
	return l, attached
}

func (c *conn) makeLane(s Session, o attachOptions) (l *lane, attached bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.lanes[s.ID()]
	if old != nil && !o.move && old.session.Done() == s.Done() { // else of one that is forgotten, whose id is used again
		return old, false
	}
	l = newLane(c, s, o)
	if old != nil {
		l.replace(old)
	}
	if c.closed { // the connection went while this request was on its way
		l.gone = true
		l.att.Drop()
		return l, true
	}
	c.lanes[s.ID()] = l
	return l, true
}

// mayAttach refuses one session too many. Handlers are called one after the other, so it holds until the next.
func (c *conn) mayAttach(id string) *rpc.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[id] == nil && len(c.lanes) >= maxAttached {
		return rpc.Overloaded("max_attached", maxAttached)
	}
	return nil
}

// detach takes the session off the connection, if it is on it.
func (c *conn) detach(id string) {
	if l := c.lane(id); l != nil && c.takeOff(l) {
		l.att.Detach()
		l.leave()
	}
}

// takeOff reports whether the lane was still the connection's.
func (c *conn) takeOff(l *lane) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[l.session.ID()] != l {
		return false
	}
	delete(c.lanes, l.session.ID())
	return true
}

// lane returns the connection's lane of a session, or nil.
func (c *conn) lane(id string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lanes[id]
}

// leaveAll detaches the connection from all its sessions, because it is gone.
func (c *conn) leaveAll() {
	c.mu.Lock()
	c.closed = true
	lanes := c.lanes
	c.lanes = map[string]*lane{}
	c.mu.Unlock()
	for _, l := range lanes {
		l.att.Drop()
		l.leave()
	}
}

// find returns the caller's session of that id, or the connection's one running session where id is "".
func (c *conn) find(id string) (Session, error) {
	if id != "" {
		canonical, bad := sessionID(id)
		if bad != nil {
			return nil, bad
		}
		s, err := c.server.sessions.Find(c.owner, canonical)
		if err != nil {
			e, _ := wireError(err, id)
			return nil, e
		}
		return s, nil
	}
	c.mu.Lock()
	lanes := make([]*lane, 0, len(c.lanes))
	for _, l := range c.lanes {
		lanes = append(lanes, l)
	}
	c.mu.Unlock()
	var one Session
	for _, l := range lanes {
		if l.session.View().State == session.Ended {
			continue
		}
		if one != nil {
			return nil, rpc.InvalidParams("session_id", "session_id is required: this connection has several running sessions")
		}
		one = l.session
	}
	if one == nil {
		return nil, rpc.SessionNotFound("")
	}
	return one, nil
}

// finished lets go of a lane that has delivered its session's last event.
func (c *conn) finished(l *lane) {
	if c.takeOff(l) {
		l.att.Drop()
		l.leave()
	}
}

// evicted lets go of a lane whose session another connection has taken for itself.
func (c *conn) evicted(l *lane) {
	if c.takeOff(l) {
		l.leave()
	}
}

func newConn(s *Server, owner string, d *dialect, sock *socket) *conn {
	c := &conn{
		server:   s,
		id:       uuid.NewString(),
		owner:    owner,
		dialect:  d,
		replying: make(chan struct{}, 1),
		inFlight: make(map[string]*request),
		lanes:    make(map[string]*lane),
	}
	c.log = s.o.Log.With().Str("connection", c.id).Logger()
	c.outbox = newOutbox(sock, s.o.PingInterval, c.stuck)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// idle is the longest time in which nothing comes from a peer that lives.
func (s *Server) idle() time.Duration { return silentPings * s.o.PingInterval }
