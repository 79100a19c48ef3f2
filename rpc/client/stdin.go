package client

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// maxInputPiece is how many bytes of input are sent in one message, if the server accepts messages
// of that length.
const maxInputPiece = 64 << 10

// stdin counts the input that this client has sent to a session.
type stdin struct {
	mu   sync.Mutex // held during a write, since input has an order
	sent int64      // bytes
}

func (i *stdin) position() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sent
}

func (i *stdin) setSent(n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sent = n
}

// WriteBytes writes data to the session's stdin, and then closes stdin if eof is set. It returns
// when the server has accepted all of it; data is sent in as many messages as the server's
// max_message_bytes requires.
//
// If the client reconnects, each message has an offset, so that data is neither lost nor written twice when
// a connection is lost. Of a server without the capability "writer" this is true only if the session was
// started by Execute, and nothing else writes to it; otherwise each message is sent once. A message that is
// sent once makes WriteBytes return ErrClosed if the connection is lost.
//
// WriteBytes waits for the reply to each message. A [StdinWriter] does not.
func (s *Session) WriteBytes(ctx context.Context, data []byte, eof bool) error {
	chunk := s.c.inputLimit()
	s.stdin.mu.Lock()
	defer s.stdin.mu.Unlock()
	for len(data) > chunk {
		if err := s.write(ctx, data[:chunk], false); err != nil {
			return err
		}
		data = data[chunk:]
	}
	return s.write(ctx, data, eof)
}

// inputLimit returns how many bytes of input always fit into a message.
func (c *Client) inputLimit() int {
	const envelope, expansion = 1 << 10, 6 // JSON escapes a byte with up to six
	return max(1, (int(c.Connected().Limits.MaxMessageBytes)-envelope)/expansion)
}

func (s *Session) write(ctx context.Context, data []byte, eof bool) (err error) {
	p := input{session: s.id, data: data, eof: eof, offset: s.stdin.sent}
	if s.retriesInput() {
		p.hasOffset, p.writer = true, s.writer()
		err = s.c.CallIdempotent(ctx, rpc.MethodWrite, p, nil)
	} else {
		err = s.c.Call(ctx, rpc.MethodWrite, p, nil)
	}
	if err == nil {
		s.stdin.sent += int64(len(data))
	}
	return err
}

// hasPosition reports whether the position of the session's input is known: that in all input, if the
// session was started by Execute, or that in the input of this client.
func (s *Session) hasPosition() bool { return s.result.SessionID != "" || s.writer() != "" }

// newWriter returns a function that returns the name under which a client writes to a session. It is empty
// if the server does not know writers.
func newWriter(c *Client) func() string {
	return sync.OnceValue(func() string {
		if !slices.Contains(c.Connected().Capabilities, "writer") {
			return ""
		}
		return uuid.NewString()
	})
}

// retriesInput reports whether input is sent again after a reconnect.
func (s *Session) retriesInput() bool { return s.c.o.Reconnect != nil && s.hasPosition() }
