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
// Its method and params are those of a [jsonrpc2.Request], whose ID is not set: that takes only strings and uint64,
// and a reply carries the id byte for byte as it was received. For the same reason, and because it closes the
// connection on bad JSON and on a batch, a jsonrpc2.Conn does not serve here.
type request struct {
	jsonrpc2.Request // Params, which may be nil, are valid until the handler returns

	conn   *conn
	id     []byte // raw JSON; nil for a notification
	key    string // idKey of id
	method *method
	params json.RawMessage
	size   int64 // of params
	batch  *batch
	cancel context.CancelCauseFunc // of a request that waits; belongs to the state of the connection

	orderedAfter <-chan struct{} // closed when the reply of a request that waits may be sent; nil for now
	after        func()          // called when the reply is in the control queue
	cleanup      func()          // called at the end of a request that waits
}

func newRequest(c *conn, call *wire.Call, b *batch) *request {
	r := &request{conn: c, id: bytes.Clone(call.ID), params: call.Params, size: int64(len(call.Params)), batch: b}
	r.key = idKey(r.id)
	r.Method, r.Notif = call.Method, call.ID == nil
	if call.Params != nil {
		r.Params = &r.params
	}
	return r
}

// answer is how a handler ends: with a result or an error, or with a wait that finds one later. The context
// of the wait ends with the connection, and with errCanceled when the client cancels the request.
type answer struct {
	result any
	err    error
	wait   func(context.Context) (any, error)
}

func result(v any, err error) answer { return answer{result: v, err: err} }

func later(wait func(context.Context) (any, error)) answer { return answer{wait: wait} }

// made is a result that is large, and so is made when there is room for the reply.
type made func() []byte

// maxReplyOverhead is kept free in a message around a large result: its envelope and id.
const maxReplyOverhead = 4 << 10

// decode decodes the params.
func (r *request) decode(dst any) *rpc.Error {
	if err := rpc.DecodeParams(r.params, dst, r.conn.dialect.lenient); err != nil {
		return err
	}
	r.conn.dialect.adjust(dst)
	return nil
}

// authorize returns why the request is refused, or nil.
func (r *request) authorize(params any) error {
	if authorize := r.conn.server.o.Authorize; authorize != nil {
		return authorize(r.conn.principal, r.Method, params)
	}
	return nil
}

// begin carries out the request, here or on another server.
func (r *request) begin() answer {
	if route := r.conn.server.o.Route; route != nil {
		if wait := route(r.conn.ctx, r.conn.principal, &r.Request); wait != nil {
			return later(func(ctx context.Context) (any, error) { return wait(ctx) })
		}
	}
	return r.method.begin(r)
}

// run handles the request and sees that it is answered.
func (r *request) run() {
	a := r.guard(r.begin)
	r.params, r.Params = nil, nil // a request that waits must not hold its text too
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

// finishLater is finish for a request that waited. Many may have waited for one thing: their replies are made
// one after the other, each when there is room for it, or they would take memory without bound.
func (r *request) finishLater(res any, err error) {
	c := r.conn
	if r.orderedAfter != nil {
		_ = await(c.ctx, r.orderedAfter)
	}
	c.replying <- struct{}{}
	defer func() { <-c.replying }()
	c.waitRoom()
	r.finish(res, err)
}

// then sees that f is called when the reply is on its way, if that is to come first and is sent alone; else now.
func (r *request) then(first bool, f func()) {
	if first && r.id != nil && r.batch == nil {
		r.after = f
	} else {
		f()
	}
}

// guard turns a panic into an internal error: the log learns of it, the client does not.
func (r *request) guard(f func() answer) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			r.conn.log.Error().Interface("panic", p).Str("method", r.Method).Bytes("stack", debug.Stack()).Msg("handler panicked")
			a = result(nil, rpc.Internal())
		}
	}()
	return f()
}

// finish answers the request and takes it out of flight.
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

// framed returns a reply as [connStatus.reply] takes it.
func (r *request) framed(message []byte) []byte {
	if message == nil || r.batch != nil {
		return message
	}
	return frame(frameText, message)
}

// encode is the text of the reply; a result that does not fit into a message becomes an error.
func (r *request) encode(res any, err error) []byte {
	if r.id == nil {
		if err != nil {
			r.conn.log.Debug().Err(err).Str("method", r.Method).Msg("notification failed")
		}
		return nil
	}
	if err != nil {
		e, known := wireError(err, "")
		if !known {
			r.conn.log.Error().Err(err).Str("method", r.Method).Msg("request failed")
		}
		return errorReply(r.id, e)
	}
	var text []byte
	if large, ok := res.(made); ok {
		if a := r.guard(func() answer { text = large(); return answer{} }); a.err != nil {
			return errorReply(r.id, rpc.Internal())
		}
	} else {
		text = mustMarshal(res)
	}
	if len(text) > rpc.MaxFrameBytes-maxReplyOverhead {
		return errorReply(r.id, rpc.ReplyTooLarge())
	}
	b := make([]byte, 0, len(text)+len(r.id)+40)
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), r.id...), `,"result":`...)
	return append(append(b, text...), '}')
}

// errorReply is an error under a raw id; nil means null (JSON-RPC 2.0 §5).
func errorReply(id []byte, e *rpc.Error) []byte {
	if id == nil {
		id = []byte("null")
	}
	b := append(append([]byte(`{"jsonrpc":"2.0","id":`), id...), `,"error":`...)
	return append(append(b, mustMarshal(e)...), '}')
}
