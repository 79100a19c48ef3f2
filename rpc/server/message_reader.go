package server

import (
	"context"
	"io"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// keepMessage is the largest message buffer in bytes that an idle connection keeps.
const keepMessage = 4 << 10

// messageReader reads the text messages of a WebSocket. It belongs to the goroutine that reads.
type messageReader struct {
	ws  *websocket.Conn
	buf []byte
}

// next returns the text of the next message, which is valid UTF-8 (RFC 6455 §5.6) and stays valid
// until the next call. A *closeError says how the peer violated the protocol; any other error is
// one of the connection.
func (m *messageReader) next() ([]byte, error) {
	if cap(m.buf) > keepMessage {
		m.buf = nil
	}
	typ, r, err := m.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if typ != websocket.MessageText {
		return nil, &closeError{websocket.StatusUnsupportedData, "text messages only"}
	}
	if m.buf, err = appendAll(m.buf[:0], r); err != nil {
		return nil, err
	}
	if !utf8.Valid(m.buf) {
		return nil, &closeError{websocket.StatusInvalidFramePayloadData, "text is not UTF-8"}
	}
	return m.buf, nil
}

// appendAll is io.ReadAll with a buffer to append to.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
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

// closeError is a violation of the protocol by the peer, and how the connection is closed for it
// (RFC 6455 §7.4.1).
type closeError struct {
	code   websocket.StatusCode
	reason string
}

func (e *closeError) Error() string { return e.reason }
