package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// silentPings is for how many ping intervals a peer may neither send nor read anything.
const silentPings = 3

// conn is one WebSocket: the loop that reads requests, the outbox that writes, and the state that
// both share.
type conn struct {
	*state
	party
	remote  string // the address of the peer, as in http.Request.RemoteAddr
	peer    access.Peer
	dialect *dialect
	outbox  *outbox

	ctx    context.Context // ends with the connection; the requests that wait use it
	cancel context.CancelFunc
	wg     sync.WaitGroup // goroutines of the requests that wait

	replying chan struct{} // a lock: it holds a token while one of those requests encodes its reply
	painting chan struct{} // a lock: it holds a token while one of those requests has a screen

	// These belong to the goroutine that reads.
	messages    messageReader
	calls       []wire.Call     // of the current message
	slowStart   <-chan struct{} // Ready of the last start that took longer than startInline, or nil
	wrongTokens int             // that the peer has presented to authenticate
	turn        *connTurn
}

// newConn returns a connection whose handshake is done. before is what was read from the socket
// after the handshake.
func newConn(s *Server, id access.Identity, remote string, d *dialect, sock *socket, before []byte) *conn {
	c := &conn{
		state:    newState(),
		party:    party{server: s, id: uuid.NewString(), principal: id.Principal},
		remote:   remote,
		dialect:  d,
		replying: make(chan struct{}, 1),
		painting: make(chan struct{}, 1),
		turn:     newConnTurn(s.turns, id.Principal),
	}
	c.identity = c.newestIdentity
	sock.turn = c.turn
	c.outbox = newOutbox(c.state, sock, s.o.PingInterval, c)
	c.messages = messageReader{
		in:      newInbound(sock, sock.watch(s.idle()), before, c.turn),
		most:    s.o.MaxMessageBytes,
		control: c.outbox,
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.setIdentity(id)
	return c
}

// serve runs the connection until it is closed. When it returns, no goroutine, descriptor or
// attachment of the connection is left.
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
	c.log().Debug().Msg("connected")
	c.auditOpen(c.dialect.path)
	c.server.turns.connect(c.principal)
	defer c.server.turns.disconnect(c.principal)
	go func() {
		c.outbox.run()
		c.cancel()
	}()
	err := c.readMessages()
	c.messages.in.peer.Stop()
	c.stopExpiry()
	c.cancel()
	c.closeForError(err)
	c.unsubscribeAll()
	<-c.outbox.done
	c.wg.Wait()
	c.log().Debug().Msg("disconnected")
	var closing *closeError
	c.update(func(st *connStatus) { closing = st.closing })
	c.auditClose(closing, err)
}

// readMessages runs the requests of each message until the connection fails or is closed. The
// outbox closes the socket when it ends, which ends the reading too. While the control queue is
// full, readMessages does not read.
func (c *conn) readMessages() (err error) {
	defer func() {
		if p := recover(); p != nil { // a bug outside of the handlers, which must not end the server
			c.log().Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("connection panicked")
			err = &closeError{websocket.StatusInternalError, "internal error"}
		}
	}()
	defer c.turn.leave()
	for c.waitRoom() {
		text, err := c.messages.next()
		if err != nil {
			return err
		}
		if c.closing() {
			break
		}
		c.handleMessage(text)
		c.turn.leave()
	}
	return io.EOF
}

// handleMessage runs the requests of one message, in their order, and answers what is malformed.
// The text is not used after it returns. The parser is wire.ParseMessage, on the legacy path
// wire.ParseUnversioned.
func (c *conn) handleMessage(text []byte) {
	calls, isBatch, bad := c.dialect.parse(text, maxBatch, c.calls[:0])
	if bad != nil {
		clear(c.calls[:cap(c.calls)]) // those before the error alias the text
		c.send(errorReply(nil, rpc.MessageError(bad)))
		return
	}
	var b *batch
	if isBatch {
		c.update(func(st *connStatus) { b = st.newBatch() })
		defer c.update(func(st *connStatus) { st.doneItem(b) })
	}
	for i := range calls {
		if i > 0 { // a long batch is not one turn
			c.turn.leave()
			c.turn.enter()
		}
		if isBatch && c.closing() { // since an earlier item: the credential was revoked
			break
		}
		if r := c.admit(&calls[i], b); r != nil {
			r.run()
		}
	}
	clear(calls) // they alias the text
	c.calls = calls
}

// closeForError ends the outbox after a read error. A peer that has sent a close frame, or violated
// the protocol, gets a close frame.
func (c *conn) closeForError(err error) {
	var closing *closeError
	if errors.As(err, &closing) {
		c.update(func(st *connStatus) { st.closeFor(closing.code, closing.reason) })
		c.sendFrame(closing.frame())
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.logAbort(fmt.Errorf("nothing was received for %v", c.server.idle()))
	}
	c.outbox.abortUnlessClosing()
}

// The close frames of a shutdown (RFC 6455 §7.4.1 and its registry of close codes).
var (
	shuttingDown = &closeError{websocket.StatusGoingAway, "shutting down"}
	restarting   = &closeError{websocket.StatusServiceRestart, "restarting"}
)

// shutdownFrame returns the close frame of a shutdown.
func shutdownFrame(restart bool) *closeError {
	if restart {
		return restarting
	}
	return shuttingDown
}

// shutdown closes the connection for a shutdown of the server, after the replies of the requests in
// flight and the output are sent.
func (c *conn) shutdown(restart bool) {
	why := shutdownFrame(restart)
	c.update(func(st *connStatus) {
		st.closeFor(why.code, why.reason)
		st.shutdown(why.frame())
	})
}

// logAbort logs why the server closes a connection that its peer did not close.
func (c *conn) logAbort(err error) {
	c.update(func(st *connStatus) { st.closeFor(0, err.Error()) })
	c.log().Info().Err(err).Msg("connection aborted")
}

// admit returns the request of a call that is to be handled. It answers or ignores any other call
// and returns nil.
func (c *conn) admit(call *wire.Call, b *batch) *request {
	if call.Response { // the server sends no requests
		return nil
	}
	if len(call.ID) > maxIDBytes {
		call.ID, call.Err = nil, &wire.Error{Reason: fmt.Sprintf("id is longer than %d bytes", maxIDBytes)}
	}
	r := newRequest(c, call, b)
	answered := r.id != nil || call.Err != nil
	if b != nil && answered {
		c.update(func(st *connStatus) { st.addItem(b) })
	}
	var err *rpc.Error
	if call.Err != nil {
		err = rpc.MessageError(call.Err)
	} else {
		r.method = methodByName[r.Method]
		duplicate := false
		c.update(func(st *connStatus) {
			switch err = st.mayAddInFlight(r, c.server.o.MaxInFlight); {
			case err != nil:
				duplicate = st.inFlight[r.key] != nil
			case r.method == nil:
				err = rpc.MethodNotFound(r.Method)
			default:
				st.addInFlight(r)
			}
		})
		if err == nil {
			return r
		}
		r.auditNotAdmitted(err)
		if duplicate { // the reply with this id is that of the request in flight
			r.id = nil
		}
	}
	if answered {
		c.reply(r, errorReply(r.id, err))
	}
	return nil
}

// reply sends the reply of a request that is not in flight.
func (c *conn) reply(r *request, message []byte) {
	message = r.framed(message)
	c.update(func(st *connStatus) { st.reply(r, message) })
}

// closing reports whether the close frame was queued, so that no further request is carried out.
func (c *conn) closing() (is bool) {
	c.update(func(st *connStatus) { is = st.phase >= phaseClosing })
	return is
}

// newestIdentity returns who the caller is, by the newest credential of the connection.
func (c *conn) newestIdentity() (id access.Identity) {
	c.update(func(st *connStatus) { id = st.identity })
	return id
}

// cancelRequest cancels the request with that id if it waits: it ends the context of its goroutine.
func (c *conn) cancelRequest(id []byte) {
	key := idKey(id)
	var cancel context.CancelCauseFunc
	c.update(func(st *connStatus) {
		if r := st.inFlight[key]; r != nil {
			cancel = r.cancel
		}
	})
	if cancel != nil {
		cancel(errCanceled)
	}
}

// idle is the longest time in which a peer may neither send nor read anything.
func (s *Server) idle() time.Duration { return silentPings * s.o.PingInterval }
