package codex

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/files"
	"github.com/runnel-rpc/runnel/rpc/server"
)

const (
	// queuedFrames is how many frames wait to be written to a connection, one of which may be a large
	// reply: see largeReply.
	queuedFrames = 8
	// maxConcurrent is how many requests of a connection are carried out at the same time, apart from
	// those that wait. Further ones are not read until one has ended.
	maxConcurrent = 64
	// maxWaitingReads is how many process/read of a connection may wait for output.
	maxWaitingReads = 256
	// silentPings is for how many ping intervals the answer to a ping may be missing.
	silentPings = 3
	// probeTimeout is how long the answer to a ping may be missing when another connection wants to
	// resume the session.
	probeTimeout = 5 * time.Second
	// closeTimeout is how long a client has to take the close frame.
	closeTimeout = time.Second
)

// conn is one WebSocket.
//
//	          ┌──────┐ request ┌─────────┐ result ┌───────┐ frame ┌───────┐
//	socket ──▶│ read ├────────▶│ handler ├───────▶│       ├──────▶│ write ├──▶ socket
//	          └──────┘         └─────────┘        │ queue │       └───────┘
//	          process.run, one for each process ─▶│       │
//	                                              └───────┘
type conn struct {
	handler *Handler
	caller  *server.Caller
	ws      *websocket.Conn
	tcp     net.Conn        // of ws; ws.CloseNow waits for a Close that has begun
	ctx     context.Context // ends with the connection
	cancel  context.CancelCauseFunc
	timeout time.Duration // of a write
	files   *files.Owner

	queue     chan outgoing
	frame     chan struct{} // a lock: it holds a token while a frame with output is made
	largeTurn chan struct{} // a lock: it holds a token while a large reply is made and written
	slots     chan struct{} // tokens of the requests that are carried out
	probing   atomic.Bool
	wg        sync.WaitGroup // goroutines of requests, and of the connection

	waitingReads, waitingWrites atomic.Int32
	httpRequests                atomic.Int32 // that run
	httpStreams                 sync.Map     // the ids of those whose bodies are streamed

	// These belong to the goroutine that reads.
	session     *clientSession // nil before initialize
	initialized bool
}

// serve runs the connection of a caller until it ends.
func (h *Handler) serve(caller *server.Caller, w http.ResponseWriter, r *http.Request) {
	hijack := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(hijack, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the server has checked the Origin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		caller.Close(err)
		return
	}
	bounds := caller.Bounds()
	ws.SetReadLimit(bounds.MaxMessageBytes)
	c := &conn{
		handler: h, caller: caller, ws: ws, tcp: hijack.conn,
		timeout:   seconds(bounds.WriteTimeout),
		files:     h.files.NewOwner(caller.Principal()),
		queue:     make(chan outgoing, queuedFrames),
		frame:     make(chan struct{}, 1),
		largeTurn: make(chan struct{}, 1),
		slots:     make(chan struct{}, maxConcurrent),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.wg.Go(c.write)
	c.wg.Go(func() { c.ping(seconds(bounds.PingInterval)) })
	c.wg.Go(c.awaitClose)
	err = c.read()
	c.cancel(err)
	switch {
	case c.session == nil:
	case c.unauthorized():
		h.remove(c.session)
	default:
		c.session.detach(c)
	}
	c.wg.Wait()
	c.files.Close()
	_ = ws.CloseNow()
	caller.Close(err)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// read handles messages until the connection ends, and returns why.
func (c *conn) read() (err error) {
	defer func() {
		if p := recover(); p != nil { // a bug, which must not end the server
			c.logPanic(p)
			err = errors.New("internal error")
		}
	}()
	for {
		kind, text, err := c.ws.Read(c.ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageText {
			_ = c.ws.Close(websocket.StatusUnsupportedData, "messages must be text")
			return errors.New("a binary message")
		}
		leave := c.caller.Turn()
		if c.closing() {
			leave()
			continue // until the client answers the close frame, or closeTimeout
		}
		r, ok, bad := parse(text)
		if bad != nil {
			leave()
			err = c.enqueue(reply(noID, nil, invalidRequest("%v", bad)))
		} else if ok {
			err = c.handle(&r, leave)
		} else {
			leave()
		}
		if err != nil {
			return err
		}
	}
}

// outgoing is a frame that is to be written.
type outgoing struct {
	frame   []byte
	written chan struct{} // closed when it is written; may be nil
	reuse   bool          // nothing else uses the frame
}

// enqueue queues a frame, and waits for room. The error is why the connection has ended.
func (c *conn) enqueue(frame []byte) error { return c.send(outgoing{frame: frame}) }

func (c *conn) send(out outgoing) error {
	select {
	case c.queue <- out:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// lockFrame waits until no other frame with output of the connection is made.
func (c *conn) lockFrame() error {
	select {
	case c.frame <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

func (c *conn) unlockFrame() { <-c.frame }

// write writes the queue.
func (c *conn) write() {
	for {
		select {
		case out := <-c.queue:
			ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
			err := c.ws.Write(ctx, websocket.MessageText, out.frame)
			cancel()
			if err != nil {
				c.abort(fmt.Errorf("writing: %w", err))
				return
			}
			if out.written != nil {
				close(out.written)
			}
			if out.reuse {
				reuseFrame(out.frame)
			}
		case <-c.ctx.Done():
			return
		}
	}
}

// ping closes the connection if the client does not answer pings.
func (c *conn) ping(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := c.pingWithin(silentPings * interval); err != nil {
				c.abort(err)
				return
			}
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *conn) pingWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(c.ctx, d)
	defer cancel()
	if err := c.ws.Ping(ctx); err != nil {
		return fmt.Errorf("no answer to a ping: %w", err)
	}
	return nil
}

// probe is called when another connection wants to resume the session: it closes this one if its client
// is not there any more. It does not block.
func (c *conn) probe() {
	if !c.probing.CompareAndSwap(false, true) {
		return
	}
	c.handler.ending.Go(func() {
		defer c.probing.Store(false)
		if err := c.pingWithin(probeTimeout); err != nil {
			c.abort(err)
		}
	})
}

// abort ends the connection without a close frame.
func (c *conn) abort(err error) {
	c.cancel(err)
	_ = c.ws.CloseNow()
}

// closing reports whether the server closes the connection. No request is carried out any more.
func (c *conn) closing() bool { return c.caller.Context().Err() != nil }

// awaitEnd waits for the end of the connection if the server closes it: a frame after the close frame would
// abort it, and the client might not get the close frame.
func (c *conn) awaitEnd() {
	if c.closing() {
		<-c.ctx.Done()
	}
}

// unauthorized reports whether the server closes the connection because the credential was revoked or has
// expired.
func (c *conn) unauthorized() bool {
	if !c.closing() {
		return false
	}
	code, _ := c.caller.Closing()
	return code == rpc.CloseUnauthorized
}

// hijacker keeps the connection that a websocket.Conn is made of.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = conn
	return conn, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(&frameWriter{conn: conn})), nil
}

// awaitClose closes the connection when the server says so. The session of a client whose credential is
// not valid any more ends at once.
func (c *conn) awaitClose() {
	select {
	case <-c.caller.Context().Done():
		code, reason := c.caller.Closing()
		if c.unauthorized() {
			c.handler.removeOf(c)
		}
		late := time.AfterFunc(closeTimeout, func() {
			c.cancel(errors.New(reason))
			_ = c.tcp.Close()
		})
		_ = c.ws.Close(code, reason)
		late.Stop()
		c.cancel(errors.New(reason))
	case <-c.ctx.Done():
	}
}

func (c *conn) logPanic(p any) {
	c.handler.o.Log.Error().Str("connection", c.caller.ID()).Interface("panic", p).Bytes("stack", debug.Stack()).
		Msg("handler panicked")
}
