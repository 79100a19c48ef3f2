package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// messageReader reads the text messages of a WebSocket, and handles the control frames among them
// (RFC 6455 §5). It belongs to the goroutine that reads.
type messageReader struct {
	in      *inbound
	most    int64 // bytes of a message
	control controlHandler

	message *messageBuffer // with the current message; nil if that is short
}

// controlHandler gets the control frames of a peer: the outbox of its connection.
type controlHandler interface {
	sendFrame(f []byte) (ok bool)
	pong(payload []byte)
}

// next returns the text of the next message, which is valid UTF-8 (§5.6) and may be changed. It
// stays valid until the next call, if it is not handed over. The caller has a turn, and leaves it
// when the message is handled. A *closeError says how the connection
// is to be closed; any other error is one of the connection.
func (m *messageReader) next() ([]byte, error) {
	m.message.recycle()
	m.message = nil
	if m.in.r < m.in.w { // else fill enters
		m.in.turn.enter()
	}
	text, err := m.read()
	if err != nil {
		m.message.recycle()
		m.message = nil
		m.in.release()
		return nil, err
	}
	if !utf8.Valid(text) {
		return nil, &closeError{websocket.StatusInvalidFramePayloadData, "text is not UTF-8"}
	}
	return text, nil
}

// handOver returns a part of the text of the current message in memory that stays valid, and the
// function that recycles it, which may be nil. It passes on the message's buffer, if the part is
// most of it and no other part is used any more (alone); else it copies the part.
func (m *messageReader) handOver(part []byte, alone bool) ([]byte, func()) {
	b := m.message
	if b == nil || !alone || 2*len(part) < cap(b.text) {
		return bytes.Clone(part), nil
	}
	m.message = nil
	return part, b.recycle
}

// read reads frames up to the end of a message. A frame that is a whole message and fits into the
// input buffer stays there.
func (m *messageReader) read() ([]byte, error) {
	for fragments := 0; ; {
		h, err := m.header()
		if err != nil {
			return nil, err
		}
		if h.isControl() {
			if err := m.handleControl(h); err != nil {
				return nil, err
			}
			continue
		}
		if err := m.check(h, fragments > 0); err != nil {
			return nil, err
		}
		if fragments++; fragments == 1 && h.fin && h.length <= inputBytes {
			return m.payload(h)
		}
		if err := m.collect(h); err != nil {
			return nil, err
		}
		if h.fin {
			return m.message.text, nil
		}
	}
}

// header reads the header of a frame.
func (m *messageReader) header() (h frameHeader, err error) {
	b, err := m.in.ahead(minHeader)
	if err != nil {
		return h, err
	}
	size, err := headerBytes(b)
	if err != nil {
		return h, err
	}
	if b, err = m.in.ahead(size); err != nil {
		return h, err
	}
	m.in.take(size)
	return parseHeader(b)
}

// check checks the header of a data frame, which continues a message or begins one (§5.4).
func (m *messageReader) check(h frameHeader, continues bool) error {
	before := int64(0)
	if m.message != nil {
		before = int64(len(m.message.text))
	}
	switch {
	case continues && h.opcode != opContinuation:
		return violation("the last message is not complete")
	case !continues && h.opcode == opContinuation:
		return violation("there is no message to continue")
	case h.opcode == opBinary:
		return &closeError{websocket.StatusUnsupportedData, "text messages only"}
	case h.length > m.most-before:
		return &closeError{websocket.StatusMessageTooBig, fmt.Sprintf("the message is longer than %d bytes", m.most)}
	}
	return nil
}

// payload reads the payload of a frame that fits into the input buffer.
func (m *messageReader) payload(h frameHeader) ([]byte, error) {
	b, err := m.in.ahead(int(h.length))
	if err != nil {
		return nil, err
	}
	m.in.take(len(b))
	h.unmask(b)
	return b, nil
}

// collect appends the payload of a frame to the message.
func (m *messageReader) collect(h frameHeader) error {
	for missing := int(h.length); missing > 0; {
		m.message = m.message.grown(missing)
		text := m.message.text
		room := text[len(text):min(cap(text), len(text)+missing)]
		n, err := m.in.read(room)
		if err != nil {
			return err
		}
		h.unmask(room[:n])
		m.message.text = text[:len(text)+n]
		missing -= n
	}
	if m.message == nil {
		m.message = m.message.grown(1) // of an empty fragment
	}
	return nil
}

// handleControl handles a control frame (§5.5). The error is that of a connection that the peer
// closes.
func (m *messageReader) handleControl(h frameHeader) error {
	b, err := m.payload(h)
	if err != nil {
		return err
	}
	switch h.opcode {
	case opPing:
		m.control.sendFrame(frame(framePong, b))
	case opPong:
		m.control.pong(b)
	case opClose:
		return answerToClose(b)
	}
	return nil
}

// closeError is why a connection is closed, and how (RFC 6455 §7.4.1).
type closeError struct {
	code   websocket.StatusCode // StatusNoStatusRcvd for a close frame without a code
	reason string
}

func (e *closeError) Error() string { return e.reason }

func (e *closeError) frame() []byte {
	if e.code == websocket.StatusNoStatusRcvd {
		return frame(frameClose, nil)
	}
	return closeFrame(uint16(e.code), e.reason)
}

// answerToClose returns the answer to a close frame with that payload, which echoes it (§5.5.1)
// unless it is not valid.
func answerToClose(payload []byte) *closeError {
	if len(payload) == 0 {
		return &closeError{code: websocket.StatusNoStatusRcvd}
	}
	if len(payload) == 1 {
		return &closeError{websocket.StatusProtocolError, "half a close code"}
	}
	code := websocket.StatusCode(binary.BigEndian.Uint16(payload))
	switch reason := payload[2:]; {
	case !validCloseCode(code):
		return &closeError{websocket.StatusProtocolError, "the close code is not valid"}
	case !utf8.Valid(reason):
		return &closeError{websocket.StatusInvalidFramePayloadData, "the reason of the close is not UTF-8"}
	default:
		return &closeError{code, string(reason)}
	}
}

// validCloseCode reports whether a close frame may have this code (§7.4): one of those that are
// registered and not reserved for local use, or one of a library or an application.
func validCloseCode(code websocket.StatusCode) bool {
	const reserved = 1004 // without a meaning
	switch code {
	case reserved, websocket.StatusNoStatusRcvd, websocket.StatusAbnormalClosure:
		return false
	}
	return code >= websocket.StatusNormalClosure && code <= websocket.StatusBadGateway || code >= 3000 && code <= 4999
}
