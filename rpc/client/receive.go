package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/runnel-rpc/runnel/rpc"
)

// The first bytes of the replies and notifications that the server writes. They identify the kind
// of a message without decoding it.
var (
	replyPrefix        = []byte(`{"jsonrpc":"2.0","id":`)
	resultPrefix       = []byte(`,"result":`)
	notificationPrefix = []byte(`{"jsonrpc":"2.0","method":"`)
)

// isReply reports whether a message is not a notification, in whatever order its members are.
func isReply(msg []byte) bool {
	if bytes.HasPrefix(msg, replyPrefix) {
		return true
	}
	if bytes.HasPrefix(msg, notificationPrefix) {
		return false
	}
	var m struct{ Method *string }
	return json.Unmarshal(msg, &m) != nil || m.Method == nil
}

// read processes the server's messages until the connection is closed. It calls the functions of
// sessions without a window.
func (conn *connection) read() {
	err := conn.readMessages()
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.cause == nil {
		conn.cause = err
	}
	close(conn.done)
	conn.cancel()
}

func (conn *connection) readMessages() error {
	for {
		if err := conn.readMessage(); err != nil {
			return err
		}
		if !isReply(conn.buf) {
			conn.receiveNotification(conn.buf)
		} else if err := conn.calls.receive(conn.buf); err != nil {
			return fmt.Errorf("invalid JSON-RPC message: %w", err)
		}
	}
}

// readMessage reads the next message into buf.
func (conn *connection) readMessage() error {
	_, r, err := conn.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	conn.buf = conn.buf[:0]
	for {
		if len(conn.buf) == cap(conn.buf) {
			conn.buf = append(conn.buf, 0)[:len(conn.buf)]
		}
		n, err := r.Read(conn.buf[len(conn.buf):cap(conn.buf)])
		conn.buf = conn.buf[:len(conn.buf)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receiveNotification processes a notification. An unknown one is ignored.
func (conn *connection) receiveNotification(msg []byte) {
	var raw []byte
	if conn.c.wantRaw.Load() { // decodeOutput changes msg
		raw = bytes.Clone(msg)
	}
	if o, ok := decodeOutput(msg); ok {
		if s := conn.c.session(o.session); s != nil {
			s.output(&o, raw)
		}
		return
	}
	var n struct {
		Method string
		Params json.RawMessage
	}
	var event struct {
		SessionID string `json:"session_id"`
		Seq       int64
	}
	if json.Unmarshal(msg, &n) != nil {
		return
	}
	if n.Method != rpc.NotifyConnected && json.Unmarshal(n.Params, &event) == nil && event.SessionID != "" {
		if s := conn.c.session([]byte(event.SessionID)); s != nil {
			s.event(n.Method, n.Params, msg, event.Seq)
		}
		return
	}
	if conn.c.o.Raw != nil {
		conn.c.o.Raw(msg)
	}
	switch n.Method {
	case rpc.NotifyConnected:
		conn.receiveConnected(n.Params)
	case rpc.NotifyShutdown:
		var p rpc.Shutdown
		if conn.c.o.Shutdown != nil && json.Unmarshal(n.Params, &p) == nil {
			conn.c.o.Shutdown(p)
		}
	}
}

// receiveConnected takes the first connected notification and ignores any other.
func (conn *connection) receiveConnected(params []byte) {
	select {
	case <-conn.ready:
		return
	default:
	}
	if json.Unmarshal(params, &conn.connected) == nil {
		conn.startTimeouts()
		close(conn.ready)
	}
}
