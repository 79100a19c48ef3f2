package client

import (
	"context"
	"encoding/base64"
	"sync"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
)

// stdin counts the input that this client has sent to a session.
type stdin struct {
	mu   sync.Mutex // held during a write, since input has an order
	sent int64      // bytes
}

// WriteBytes writes data to the session's stdin, and then closes stdin if eof is set. It returns
// when the server has accepted all of it; data is sent in as many messages as the server's
// max_message_bytes requires.
//
// If the client reconnects, and the session was started by Execute, each message has an offset, so
// that data is neither lost nor written twice when a connection is lost; then nothing else may
// write to the session. In all other cases each message is sent once, and WriteBytes returns
// ErrClosed if the connection is lost.
func (s *Session) WriteBytes(ctx context.Context, data []byte, eof bool) error {
	const envelope, expansion = 1 << 10, 6 // JSON escapes a byte with up to six
	chunk := max(1, (int(s.c.Connected().Limits.MaxMessageBytes)-envelope)/expansion)
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

func (s *Session) write(ctx context.Context, data []byte, eof bool) error {
	text, encoding := string(data), ""
	if !utf8.Valid(data) {
		text, encoding = base64.StdEncoding.EncodeToString(data), rpc.EncodingBase64
	}
	p := rpc.WriteParams{SessionID: s.id, Data: &text, Encoding: encoding, EOF: eof}
	if s.c.o.Reconnect == nil || s.result.SessionID == "" {
		return s.c.Call(ctx, rpc.MethodWrite, p, nil)
	}
	offset := s.stdin.sent
	p.Offset = &offset
	err := s.c.CallIdempotent(ctx, rpc.MethodWrite, p, nil)
	if err == nil {
		s.stdin.sent += int64(len(data))
	}
	return err
}
