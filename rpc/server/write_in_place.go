package server

import (
	"bytes"
	"strconv"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// writeInPlace is write for params in the form that most clients send. It decodes the data where it
// is in the message, whose buffer it passes on to the queue of stdin, so the data is not copied. It
// returns false, and has changed nothing, if the params have another form.
func writeInPlace(r *request) (a answer, ok bool) {
	if r.conn.server.o.Authorize != nil { // needs the decoded params
		return answer{}, false
	}
	p, raw, ok := usualWrite(r.params, r.long)
	if !ok {
		return answer{}, false
	}
	data, bad := wire.TextInPlace(raw)
	if bad != nil {
		return result(nil, rpc.InvalidParams("data", "data %s", bad)), true
	}
	data, recycle := r.conn.messages.handOver(data, r.batch == nil)
	return submit(r, &p, data, recycle), true
}

// usualWrite decodes the params of a write, except the data, which it returns as a raw string. The
// params must be valid JSON; long is the Long of their call. ok is false if the params are
// positional, a member is unknown, null, or not valid, the data is left out or base64, or a string
// besides the data contains an escape.
func usualWrite(params, long []byte) (p rpc.WriteParams, data []byte, ok bool) {
	if wire.KindOf(params) != wire.Object {
		return p, nil, false
	}
	wire.Members(params, long, func(name, value []byte) bool {
		switch string(name) {
		case `"session_id"`:
			p.SessionID, ok = unescaped(value)
			ok = ok && p.SessionID != ""
		case `"data"`:
			data, ok = value, wire.KindOf(value) == wire.String
		case `"encoding"`:
			p.Encoding, ok = unescaped(value)
			ok = ok && p.Encoding == rpc.EncodingUTF8
		case `"eof"`:
			p.EOF, ok = value[0] == 't', wire.KindOf(value) == wire.Bool
		case `"offset"`:
			n, err := strconv.ParseInt(string(value), 10, 64)
			p.Offset, ok = &n, err == nil && n >= 0
		case `"writer"`:
			p.Writer, ok = unescaped(value)
			ok = ok && p.Writer != ""
		default:
			ok = false
		}
		return ok
	})
	return p, data, ok && data != nil && checkWriter(&p) == nil
}

// unescaped returns the text of a JSON string without escapes.
func unescaped(value []byte) (text string, ok bool) {
	if wire.KindOf(value) != wire.String || bytes.IndexByte(value, '\\') >= 0 {
		return "", false
	}
	return string(value[1 : len(value)-1]), true
}
