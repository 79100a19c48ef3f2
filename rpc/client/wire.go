package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/runnel-rpc/runnel/rpc"
)

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

// read deals with what the server sends until the connection is over. It calls the sessions' events.
func (l *link) read() {
	err := l.readAll()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = err
	}
	close(l.done)
}

func (l *link) readAll() error {
	for {
		if err := l.readMessage(); err != nil {
			return err
		}
		if !isReply(l.buf) {
			l.notified(l.buf)
		} else if err := l.calls.answered(l.buf); err != nil {
			return fmt.Errorf("the server sent no JSON-RPC: %w", err)
		}
	}
}

// readMessage reads the next message into buf.
func (l *link) readMessage() error {
	_, r, err := l.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	l.buf = l.buf[:0]
	for {
		if len(l.buf) == cap(l.buf) {
			l.buf = append(l.buf, 0)[:len(l.buf)]
		}
		n, err := r.Read(l.buf[len(l.buf):cap(l.buf)])
		l.buf = l.buf[:len(l.buf)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// encode makes a message of a request, or of a notification where id is "".
func (l *link) encode(method, id string, params any) (*outgoing, error) {
	buffer := buffers.Get().(*[]byte)
	out := append((*buffer)[:0], make([]byte, headRoom)...)
	out = append(out, `{"jsonrpc":"2.0","method":`...)
	out = rpc.AppendQuote(out, method)
	if id != "" {
		out = rpc.AppendQuote(append(out, `,"id":`...), id)
	}
	if params != nil {
		text := appender(append(out, `,"params":`...))
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		if err := e.Encode(params); err != nil {
			return nil, err
		}
		out = text[:len(text)-1] // without the encoder's line feed
	}
	out = append(out, '}')
	*buffer = out
	if size, limit := int64(len(out)-headRoom), l.connected.Limits.MaxMessageBytes; limit > 0 && size > limit {
		return nil, &TooLargeError{size, limit}
	}
	return &outgoing{frame: frame(frameText, out), buffer: buffer}, nil
}

// appender is an io.Writer that appends.
type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

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
				l.watch()
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
