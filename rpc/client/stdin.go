package client

import (
	"context"
	"encoding/base64"
	"sync"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
)

// stdin is how much of a session's input was sent by this client.
type stdin struct {
	mu   sync.Mutex // held while one write is made: input has an order
	sent int64
}

// WriteBytes feeds the session's stdin; eof closes it behind data. It returns when the server has accepted
// all of it, in as many messages as it takes. Where the client reconnects, each says where it begins, so that
// none is doubled or lost by a drop; for that, a session that was executed by this client must be written to by
// nobody else. To one that was attached to, each is sent once, and a drop is ErrClosed.
func (s *Session) WriteBytes(ctx context.Context, data []byte, eof bool) error {
	const envelope, swell = 1 << 10, 6 // JSON makes up to six bytes of one
	most := max(1, (int(s.c.Connected().Limits.MaxMessageBytes)-envelope)/swell)
	s.stdin.mu.Lock()
	defer s.stdin.mu.Unlock()
	for len(data) > most {
		if err := s.write(ctx, data[:most], false); err != nil {
			return err
		}
		data = data[most:]
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
	err := s.c.CallAgain(ctx, rpc.MethodWrite, p, nil)
	if err == nil {
		s.stdin.sent += int64(len(data))
	}
	return err
}
