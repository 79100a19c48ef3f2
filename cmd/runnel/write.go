package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type writeCmd struct {
	target
	EOF  bool     `name:"eof" help:"Close the command's stdin after the input; on a terminal, write the end-of-file character. Stdin is not read if it is a terminal."`
	ID   string   `arg:"" help:"The session: its id, a unique prefix of it, or its name."`
	Text []string `arg:"" optional:"" help:"Words of a line to write. Default: stdin, to its end."`
}

// Run writes to the stdin of the session's command. It returns when the server has accepted the input.
func (c *writeCmd) Run(inv *invocation) error {
	return c.withClient(inv, func(ctx context.Context, conn *client.Client) error {
		id, err := resolveID(ctx, conn, c.ID)
		if err != nil {
			return err
		}
		w := sessionInput{ctx: ctx, conn: conn, id: id}
		input := struct{ io.Reader }{c.input(inv)} // without a WriteTo, which would not use the buffer
		if _, err = io.CopyBuffer(&w, input, make([]byte, w.limit())); err == nil && c.EOF {
			err = w.write(nil, true)
		}
		if err != nil && w.written > 0 {
			err = fmt.Errorf("%w, after %d bytes", err, w.written)
		}
		return err
	})
}

// input returns what is to be written.
func (c *writeCmd) input(inv *invocation) io.Reader {
	switch {
	case len(c.Text) > 0:
		return strings.NewReader(strings.Join(c.Text, " ") + "\n")
	case c.EOF && term.IsTerminal(int(inv.stdin.Fd())):
		return strings.NewReader("")
	}
	return inv.stdin
}

// sessionInput is the stdin of a session, as an io.Writer. What is written is sent once, in a message of its
// own, after the previous message was accepted: when a connection is lost, it is not known whether the last
// message was accepted.
type sessionInput struct {
	ctx     context.Context
	conn    *client.Client
	id      string
	written int64
}

// limit returns how many bytes are sent in a message.
func (w *sessionInput) limit() int {
	const most, envelope = 48 << 10, 1 << 10
	return max(1, min(most, base64.StdEncoding.DecodedLen(int(w.conn.Connected().Limits.MaxMessageBytes)-envelope)))
}

// Write implements io.Writer, for at most limit bytes.
func (w *sessionInput) Write(data []byte) (int, error) {
	if err := w.write(data, false); err != nil {
		return 0, err
	}
	return len(data), nil
}

func (w *sessionInput) write(data []byte, eof bool) error {
	text := base64.StdEncoding.EncodeToString(data)
	p := rpc.WriteParams{SessionID: w.id, Data: &text, Encoding: rpc.EncodingBase64, EOF: eof}
	if len(data) == 0 {
		p.Data, p.Encoding = nil, ""
	}
	err := w.conn.Call(w.ctx, rpc.MethodWrite, p, nil)
	if refused, ok := errors.AsType[*rpc.Error](err); ok && refused.Code == rpc.CodeStdinClosed {
		return errors.New("the command has no open stdin: a detached command has one with \"runnel run --detach --stdin\"")
	}
	if err == nil {
		w.written += int64(len(data))
	}
	return err
}
