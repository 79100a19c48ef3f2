package codex

import (
	"bytes"
	"encoding/json"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/budget"
)

// answer is what a handler returns: a result or an error, or a function that waits for one in a goroutine
// of the request.
type answer struct {
	result any
	err    error
	then   func()       // called when the reply is queued, or the connection has ended; may be nil
	large  *largeReply  // of a large reply
	memory *budget.Held // that is released when the reply is written; may be nil
	wait   func() answer
}

func result(v any, err error) answer { return answer{result: v, err: err} }

func later(wait func() answer) answer { return answer{wait: wait} }

// methods are the handlers of the requests that are served after initialized. Any other is -32601. The
// goroutine that reads calls them, in the order of the requests, so they must not wait.
var methods = map[string]func(c *conn, params json.RawMessage) answer{
	"environment/info":   define(environmentInfo),
	"environment/status": define(environmentStatus),
	"process/start":      define(startProcess),
	"process/read":       define(readProcess),
	"process/write":      define(writeProcess),
	"process/signal":     define(signalProcess),
	"process/terminate":  define(terminateProcess),

	methodHTTPRequest: define(httpRequest),

	"fs/readFile":        define(readFile),
	"fs/writeFile":       define(onFile(func(q *writeFileParams) *fileParams { return &q.fileParams }, writeFile)),
	"fs/getMetadata":     define(onFile(plainParams, getMetadata)),
	"fs/canonicalize":    define(onFile(plainParams, canonicalize)),
	"fs/readDirectory":   define(listFiles(plainParams, readDirectory)),
	"fs/walk":            define(listFiles(func(q *walkParams) *fileParams { return &q.fileParams }, walk)),
	"fs/createDirectory": define(onFile(func(q *createDirectoryParams) *fileParams { return &q.fileParams }, createDirectory)),
	"fs/remove":          define(onFile(func(q *removeParams) *fileParams { return &q.fileParams }, remove)),
	"fs/copy":            define(copyFile),
	"fs/open":            define(onFile(func(q *openParams) *fileParams { return &q.fileParams }, openFile)),
	"fs/readBlock":       define(readBlock),
	"fs/writeBlock":      define(writeBlock),
	"fs/close":           define(closeFile),
	"fs/watchMissing":    define(watchMissing),
}

// define makes a handler of a function that takes decoded params.
func define[P any](f func(*conn, *P) answer) func(*conn, json.RawMessage) answer {
	return func(c *conn, raw json.RawMessage) answer {
		p, err := decode[P](raw)
		if err != nil {
			return result(nil, err)
		}
		return f(c, &p)
	}
}

// handle carries out a message. leave ends the turn in which it was parsed. An error ends the
// connection.
func (c *conn) handle(r *request, leave func()) error {
	defer leave()
	if r.id == nil {
		return c.notified(r)
	}
	if r.method == "initialize" {
		result, err := c.initialize(r.params)
		return c.enqueue(reply(r.id, result, err))
	}
	handle, ok := methods[r.method]
	if r.method == methodHTTPRequest && !c.handler.o.HTTP {
		ok = false
	}
	switch {
	case !ok:
		return c.enqueue(reply(r.id, nil, &wireError{Code: codeMethodNotFound, Message: "unknown method " + clip(r.method)}))
	case c.session == nil:
		return c.enqueue(reply(r.id, nil, invalidRequest("client must call initialize before using methods")))
	case !c.initialized:
		return c.enqueue(reply(r.id, nil, invalidRequest("client must send initialized before using methods")))
	}
	a := c.guard(func() answer { return handle(c, r.params) })
	if a.wait == nil {
		return c.answer(r.id, a)
	}
	leave()
	select {
	case c.slots <- struct{}{}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	id := bytes.Clone(r.id)
	c.wg.Go(func() {
		defer func() { <-c.slots }()
		if !c.closing() {
			_ = c.answer(id, c.guard(a.wait))
		}
	})
	return nil
}

// answer queues the reply to a request.
func (c *conn) answer(id json.RawMessage, a answer) error {
	if a.then != nil {
		defer a.then()
	}
	if a.large != nil {
		defer a.large.release()
		return c.sendLarge(a.large, reply(id, a.result, a.err))
	}
	if a.memory != nil {
		defer a.memory.Release()
		return c.sendHeld(a.memory, reply(id, a.result, a.err), func() {})
	}
	return c.enqueue(reply(id, a.result, a.err))
}

// guard turns a panic of f into an internal error, and logs it.
func (c *conn) guard(f func() answer) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			c.logPanic(p)
			a = result(nil, rpc.Internal())
		}
	}()
	return f()
}

// notified handles a notification.
func (c *conn) notified(r *request) error {
	switch {
	case r.method != "initialized":
		return c.enqueue(reply(noID, nil, invalidRequest("unexpected notification %s", clip(r.method))))
	case c.session == nil:
		return c.enqueue(reply(noID, nil, invalidRequest("initialized was sent before initialize")))
	}
	c.initialized = true
	return nil
}
