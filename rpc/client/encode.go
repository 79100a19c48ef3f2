package client

import (
	"encoding/json"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// encode returns the frame of a request, or of a notification if id is "".
func (conn *connection) encode(method, id string, params any) (*outgoing, error) {
	buffer := buffers.Get().(*[]byte)
	out := append((*buffer)[:0], make([]byte, maxHeader)...)
	out = append(out, `{"jsonrpc":"2.0","method":`...)
	out = wire.AppendQuote(out, method)
	if id != "" {
		out = wire.AppendQuote(append(out, `,"id":`...), id)
	}
	if p, ok := params.(input); ok {
		out = p.appendTo(append(out, `,"params":`...))
	} else if params != nil {
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
	if size, limit := int64(len(out)-maxHeader), conn.connected.Limits.MaxMessageBytes; limit > 0 && size > limit {
		return nil, &TooLargeError{size, limit}
	}
	m := &outgoing{frame: frame(frameText, out), buffer: buffer}
	m.users.Store(1)
	return m, nil
}

// appender is an io.Writer that appends to a slice.
type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}
