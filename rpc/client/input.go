package client

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// input is an rpc.WriteParams whose data is not copied before it is encoded.
type input struct {
	session   string
	data      []byte
	offset    int64
	hasOffset bool
	writer    string // whose offset it is; "" is that of all input
	eof       bool
}

// appendTo appends the params as JSON. Data that is not UTF-8 becomes base64.
func (p input) appendTo(out []byte) []byte {
	out = wire.AppendQuote(append(out, `{"session_id":`...), p.session)
	if p.hasOffset {
		out = strconv.AppendInt(append(out, `,"offset":`...), p.offset, 10)
	}
	if p.writer != "" {
		out = wire.AppendQuote(append(out, `,"writer":`...), p.writer)
	}
	if p.eof {
		out = append(out, `,"eof":true`...)
	}
	if utf8.Valid(p.data) {
		out = wire.AppendText(append(out, `,"data":"`...), p.data)
	} else {
		out = base64.StdEncoding.AppendEncode(append(out, `,"encoding":"base64","data":"`...), p.data)
	}
	return append(out, `"}`...)
}
