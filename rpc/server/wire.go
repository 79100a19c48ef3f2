package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/rpc"
)

// wire is the jsonrpc2.ObjectStream of a connection. It checks each frame and each item of a batch itself,
// answers what is malformed, and hands jsonrpc2.Conn a request of fixed form for each that is well-formed:
// Conn would close the connection on bad JSON and on every batch, and lose the form of ids. What it keeps
// for [conn.Handle], which Conn calls for each object before it reads the next one, is in current.
type wire struct {
	conn    *conn
	buf     []byte // the message; given up when it was large
	calls   []rpc.Call
	next    int // in calls
	batch   *batch
	current *request
	done    chan struct{} // closed when nothing more is read
	err     error         // why, then
}

// object is what jsonrpc2.Conn sees of each request.
var object = []byte(`{"jsonrpc":"2.0","id":0,"method":"request"}`)

// keepMessage is the largest message buffer that a connection keeps while it is idle.
const keepMessage = 4 << 10

// ReadObject makes the next well-formed request current.
func (w *wire) ReadObject(v any) error {
	for {
		for w.next < len(w.calls) {
			call := &w.calls[w.next]
			w.next++
			r := w.conn.admit(call, w.batch)
			*call = rpc.Call{} // else the next message would find its text held
			if r != nil {
				w.current = r
				return v.(json.Unmarshaler).UnmarshalJSON(object)
			}
		}
		if w.batch != nil {
			w.batch.started()
			w.batch = nil
		}
		if err := w.readMessage(); err != nil {
			w.err = err
			close(w.done)
			return err
		}
	}
}

// readMessage reads one message and parses its envelope.
func (w *wire) readMessage() error {
	if !w.conn.outbox.waitRoom() {
		return io.EOF
	}
	if cap(w.buf) > keepMessage {
		w.buf = nil
	}
	w.calls, w.next = w.calls[:0], 0
	typ, r, err := w.conn.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	if typ != websocket.MessageText {
		w.conn.outbox.close(closeFrame(uint16(websocket.StatusUnsupportedData), "text messages only"))
		return errors.New("binary message")
	}
	if w.buf, err = readAll(r, w.buf[:0]); err != nil {
		return err
	}
	if !utf8.Valid(w.buf) {
		w.conn.outbox.close(closeFrame(uint16(websocket.StatusInvalidFramePayloadData), "text is not UTF-8"))
		return errors.New("text that is not UTF-8")
	}
	calls, isBatch, bad := w.conn.dialect.parse(w.buf, maxBatch, w.calls)
	if bad != nil {
		w.conn.outbox.send(errorReply(nil, bad))
		return nil
	}
	w.calls = calls
	if isBatch {
		w.batch = newBatch(w.conn)
	}
	return nil
}

// readAll is io.ReadAll into a buffer that is there already.
func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// failure is why nothing more is read, nil while something may be.
func (w *wire) failure() error {
	select {
	case <-w.done:
		return w.err
	default:
		return nil
	}
}

// WriteObject is never called: replies go into the outbox, with their ids as they came.
func (w *wire) WriteObject(any) error { return errors.ErrUnsupported }

// Close is called by Conn when it ends; the socket is the outbox's.
func (w *wire) Close() error { return nil }

var _ jsonrpc2.ObjectStream = (*wire)(nil)
