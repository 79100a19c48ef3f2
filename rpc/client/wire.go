package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/coder/websocket"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/rpc"
)

// wire is the jsonrpc2.ObjectStream of a client: it takes out the notifications, which it deals with itself,
// and gives the replies to jsonrpc2.Conn.
type wire struct {
	l   *link
	buf []byte // what was read

	// These belong to who sends, one at a time.
	request *jsonrpc2.Request
	out     []byte
}

// How a server like ours begins its answers and its notifications, so that nothing is decoded only to be told apart.
var (
	replyHead        = []byte(`{"jsonrpc":"2.0","id":`)
	resultHead       = []byte(`,"result":`)
	notificationHead = []byte(`{"jsonrpc":"2.0","method":"`)
)

// isReply reports whether a message is one, whatever the order of its members.
func isReply(msg []byte) bool {
	if bytes.HasPrefix(msg, replyHead) {
		return true
	}
	if bytes.HasPrefix(msg, notificationHead) {
		return false
	}
	var m struct{ Method *string }
	return json.Unmarshal(msg, &m) != nil || m.Method == nil
}

// results are those of the calls that wait for a reply. Conn would go over a result four times before it is
// decoded, and a result may be output by the megabyte: so it is kept here, and Conn is told that there is one.
type results struct {
	mu  sync.Mutex
	all map[string][]byte // by id; nil until it has come
}

// expect begins the wait for the result of a call, and forget ends it.
func (r *results) expect(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[string][]byte)
	}
	r.all[id] = nil
}

// forget returns the result, if it has come.
func (r *results) forget(id string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := r.all[id]
	delete(r.all, id)
	return result
}

// keep takes the result out of a reply of our server's form to a call that waits. It returns the reply
// without it, or nil where the reply is another.
func (r *results) keep(reply []byte) (tiny []byte) {
	rest, ok := bytes.CutPrefix(reply, replyHead)
	if !ok || len(rest) < 2 || rest[0] != '"' || reply[len(reply)-1] != '}' {
		return nil
	}
	id, rest, ok := bytes.Cut(rest[1:], []byte{'"'})
	result, is := bytes.CutPrefix(rest, resultHead)
	if !ok || !is {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if had, waits := r.all[string(id)]; !waits || had != nil {
		return nil
	}
	r.all[string(id)] = bytes.Clone(result[:len(result)-1])
	head := len(reply) - len(result)
	return append(bytes.Clone(reply[:head]), "0}"...)
}

// ReadObject decodes the next reply into v.
func (w *wire) ReadObject(v any) error {
	for {
		if err := w.read(); err != nil {
			w.l.over(err)
			return err
		}
		if isReply(w.buf) {
			if tiny := w.l.results.keep(w.buf); tiny != nil {
				return v.(json.Unmarshaler).UnmarshalJSON(tiny)
			}
			err := v.(json.Unmarshaler).UnmarshalJSON(bytes.Clone(w.buf))
			if err != nil {
				w.l.over(fmt.Errorf("the server sent no JSON-RPC: %w", err))
			}
			return err
		}
		w.l.notified(w.buf)
	}
}

func (w *wire) read() error {
	_, r, err := w.l.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	w.buf = w.buf[:0]
	for {
		if len(w.buf) == cap(w.buf) {
			w.buf = append(w.buf, 0)[:len(w.buf)]
		}
		n, err := r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sending is told by jsonrpc2.Conn what it is about to have written.
func (w *wire) sending(r *jsonrpc2.Request, _ *jsonrpc2.Response) { w.request = r }

// WriteObject sends the request. It is encoded here: Conn would go over the params, which may be input by the
// megabyte, three times more.
func (w *wire) WriteObject(any) error {
	r := w.request
	w.out = append(w.out[:0], `{"jsonrpc":"2.0","method":`...)
	w.out = rpc.AppendQuote(w.out, r.Method)
	if !r.Notif {
		w.out = rpc.AppendQuote(append(w.out, `,"id":`...), r.ID.Str)
	}
	if r.Params != nil {
		w.out = append(append(w.out, `,"params":`...), *r.Params...)
	}
	w.out = append(w.out, '}')
	if limit := w.l.connected.Limits.MaxMessageBytes; limit > 0 && int64(len(w.out)) > limit {
		return &TooLargeError{int64(len(w.out)), limit}
	}
	if err := w.l.ws.Write(context.Background(), websocket.MessageText, w.out); err != nil {
		_ = w.l.ws.CloseNow()
		return fmt.Errorf("%w: %w", ErrClosed, lost(err))
	}
	return nil
}

// Close is called by jsonrpc2.Conn when it ends.
func (w *wire) Close() error { return w.l.ws.CloseNow() }

// notified deals with a notification. One that it does not know is ignored.
func (l *link) notified(msg []byte) {
	var raw []byte
	if l.c.raw.Load() { // decoding takes place in msg
		raw = bytes.Clone(msg)
	}
	if o, ok := decodeOutput(msg); ok {
		if s := l.c.session(o.session); s != nil {
			s.output(&o, raw)
		}
		return
	}
	var n struct {
		Method string
		Params json.RawMessage
	}
	var of struct {
		SessionID string `json:"session_id"`
		Seq       int64
	}
	if json.Unmarshal(msg, &n) != nil {
		return
	}
	if n.Method != rpc.NotifyConnected && json.Unmarshal(n.Params, &of) == nil && of.SessionID != "" {
		if s := l.c.session([]byte(of.SessionID)); s != nil {
			s.event(n.Method, n.Params, msg, of.Seq)
		}
		return
	}
	if l.c.o.Raw != nil {
		l.c.o.Raw(msg)
	}
	switch n.Method {
	case rpc.NotifyConnected:
		select {
		case <-l.hello:
		default:
			if json.Unmarshal(n.Params, &l.connected) == nil {
				close(l.hello)
			}
		}
	case rpc.NotifyShutdown:
		var p rpc.Shutdown
		if l.c.o.Shutdown != nil && json.Unmarshal(n.Params, &p) == nil {
			l.c.o.Shutdown(p)
		}
	}
}
