package server

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime/debug"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// request is one request in flight on a connection. It is answered once.
//
// The ID of its [jsonrpc2.Request] is not set, since that type takes only strings and uint64: a
// reply has the id byte for byte as it was received. A jsonrpc2.Conn cannot read requests here for
// the same reason, and because it closes the connection on bad JSON and on a batch.
type request struct {
	jsonrpc2.Request // Params, which may be nil, are valid until the handler returns

	conn   *conn
	id     []byte // raw JSON; nil for a notification
	key    string // idKey of id
	method *method
	params json.RawMessage
	long   []byte // wire.Call.Long
	size   int64  // of params
	batch  *batch
	cancel context.CancelCauseFunc // of a request that waits; belongs to the state of the connection

	orderedAfter <-chan struct{} // of a request that waits: subscription.waitFor; nil means now
	after        func()          // called when the reply is in the control queue
	cleanup      func()          // called at the end of a request that waits
}

func newRequest(c *conn, call *wire.Call, b *batch) *request {
	r := &request{conn: c, id: bytes.Clone(call.ID), params: call.Params, long: call.Long, size: int64(len(call.Params)), batch: b}
	r.key = idKey(r.id)
	r.Method, r.Notif = call.Method, call.ID == nil
	if call.Params != nil {
		r.Params = &r.params
	}
	return r
}

// answer is what a handler returns: a result or an error, or a function that waits for one in a
// goroutine of the request. The context of wait ends with the connection, and with errCanceled when
// the client cancels the request.
type answer struct {
	result any
	err    error
	wait   func(context.Context) (any, error)
}

func result(v any, err error) answer { return answer{result: v, err: err} }

func later(wait func(context.Context) (any, error)) answer { return answer{wait: wait} }

// decode decodes the params.
func (r *request) decode(dst any) *rpc.Error {
	if err := rpc.DecodeParams(r.params, dst, r.conn.dialect.lenient); err != nil {
		return err
	}
	r.conn.dialect.adjust(dst)
	return nil
}

// authorize returns the error of a request that is refused.
func (r *request) authorize(params any) error { return r.conn.authorize(r.Method, params) }

// dispatch carries out the request: by its method's handler, or on another server if Options.Route
// says so.
func (r *request) dispatch() answer {
	if route := r.conn.server.o.Route; route != nil {
		if wait := route(r.conn.ctx, r.conn.principal, &r.Request); wait != nil {
			return later(func(ctx context.Context) (any, error) { return wait(ctx) })
		}
	}
	return r.method.handle(r)
}

// run calls the handler and replies, in a goroutine if the handler has to wait.
func (r *request) run() {
	a := r.guard(r.dispatch)
	r.params, r.Params, r.long = nil, nil, nil // a request that waits does not keep its text
	if a.wait == nil {
		r.finish(a.result, a.err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.conn.ctx)
	r.conn.update(func(*connStatus) { r.cancel = cancel })
	r.conn.wg.Go(func() {
		defer cancel(nil)
		if r.cleanup != nil {
			defer r.cleanup()
		}
		a := r.guard(func() answer { return result(a.wait(ctx)) })
		r.finishLater(a.result, a.err)
	})
}

// finishLater is finish for a request that has waited. Many requests may have waited for the same
// event, so their replies are encoded one at a time, when the control queue has room; otherwise
// their memory would have no bound.
func (r *request) finishLater(res any, err error) {
	c := r.conn
	if r.orderedAfter != nil {
		_ = await(c.ctx, r.orderedAfter)
	}
	c.replying <- struct{}{}
	defer func() { <-c.replying }()
	c.waitRoom()
	turn := c.server.turns.enter(c.principal, 0)
	defer turn.leave()
	r.finish(res, err)
}

// afterReply calls f when the reply is in the control queue. If there is no reply, or it is part of
// a batch, or first is false, it calls f now.
func (r *request) afterReply(first bool, f func()) {
	if first && r.id != nil && r.batch == nil {
		r.after = f
	} else {
		f()
	}
}

// guard turns a panic of f into an internal error, and logs it.
func (r *request) guard(f func() answer) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			r.conn.log().Error().Interface("panic", p).Str("method", r.Method).Bytes("stack", debug.Stack()).
				Msg("handler panicked")
			a = result(nil, rpc.Internal())
		}
	}()
	return f()
}

// finish replies, and removes the request from those in flight.
func (r *request) finish(res any, err error) {
	message := r.framed(r.encode(res, err))
	r.conn.update(func(st *connStatus) {
		st.removeInFlight(r)
		st.reply(r, message)
		if r.after == nil {
			st.donePending()
		}
	})
	if r.after != nil {
		r.after()
		r.conn.update((*connStatus).donePending)
	}
}
