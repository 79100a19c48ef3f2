package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// Output is a process.output event. Its fields are those of rpc.Output, with Data decoded. Data is
// valid until the function that receives the Output returns.
type Output struct {
	Seq          int64
	Type         string // stdout, stderr or pty
	Data         []byte
	Truncated    bool
	Partial      bool
	Replaced     int
	DroppedBytes int64

	session []byte
}

// The constant parts of a process.output in the form that the server writes.
var (
	outputMethod = []byte(`{"jsonrpc":"2.0","method":"process.output"`)
	outputPrefix = []byte(`{"jsonrpc":"2.0","method":"process.output","params":{"session_id":"`)
	beforeSeq    = []byte(`","seq":`)
	beforeType   = []byte(`,"type":"`)
	beforeData   = []byte(`","data":"`)
	messageEnd   = []byte(`}}`)
	dataEnd      = []byte(`"}}`)
	base64End    = []byte(`:"base64"}}`)
	partialEnd   = []byte(`","partial":true}}`)
	streams      = [...]string{rpc.StreamStdout, rpc.StreamStderr, rpc.StreamPTY}
)

// decodeOutput decodes a process.output. The form that the server writes is decoded in place,
// without encoding/json, which would cost more than everything else on the output path. Any other
// form is decoded by encoding/json. Ok is false if the message is not a process.output.
func decodeOutput(msg []byte) (o Output, ok bool) {
	if !bytes.HasPrefix(msg, outputPrefix) {
		if bytes.HasPrefix(msg, notificationPrefix) && !bytes.HasPrefix(msg, outputMethod) {
			return o, false
		}
		return decodeAnyForm(msg)
	}
	rest := msg[len(outputPrefix):]
	if !endsWithData(msg) { // decoding in place might fail after it has changed msg
		rest = bytes.Clone(rest)
	}
	const idLength = 36
	if len(rest) > idLength {
		o.session, rest = rest[:idLength], rest[idLength:]
		if o.decodeInPlace(rest) {
			return o, true
		}
	}
	return decodeAnyForm(msg)
}

// endsWithData reports whether a message has no member after data, other than "partial":true.
func endsWithData(msg []byte) bool {
	return bytes.HasSuffix(msg, partialEnd) || bytes.HasSuffix(msg, dataEnd) && !bytes.HasSuffix(msg, base64End)
}

// decodeInPlace decodes the members after the session id. It changes nothing before it has
// recognized all members up to data.
func (o *Output) decodeInPlace(rest []byte) bool {
	rest, ok := bytes.CutPrefix(rest, beforeSeq)
	if !ok {
		return false
	}
	n := 0
	for n < len(rest) && n < 18 && rest[n]-'0' < 10 {
		o.Seq = o.Seq*10 + int64(rest[n]-'0')
		n++
	}
	if rest, ok = bytes.CutPrefix(rest[n:], beforeType); n == 0 || !ok {
		return false
	}
	for _, t := range streams {
		if r, found := bytes.CutPrefix(rest, []byte(t)); found {
			o.Type, rest = t, r
		}
	}
	if rest, ok = bytes.CutPrefix(rest, beforeData); o.Type == "" || !ok {
		return false
	}
	return o.decodeData(rest)
}

// decodeData decodes data in place, and the members after it.
func (o *Output) decodeData(rest []byte) bool {
	text, rest, err := wire.UnescapeText(rest[:0], rest)
	if err != nil {
		return false
	}
	o.Data = text
	switch {
	case bytes.Equal(rest, messageEnd):
		return true
	case bytes.Equal(rest, partialEnd[1:]):
		o.Partial = true
		return true
	case len(rest) < len(messageEnd)+1 || rest[0] != ',' || !bytes.HasSuffix(rest, messageEnd):
		return false
	}
	rest[0] = '{'
	var p rpc.Output
	return json.Unmarshal(rest[:len(rest)-1], &p) == nil && o.setOptional(&p)
}

// setOptional sets the members that are rarely present, and decodes data if it is base64.
func (o *Output) setOptional(p *rpc.Output) bool {
	o.Truncated, o.Partial, o.Replaced, o.DroppedBytes = p.Truncated, p.Partial, p.Replaced, p.DroppedBytes
	if p.Encoding != rpc.EncodingBase64 {
		return true
	}
	n, err := base64.StdEncoding.Decode(o.Data, o.Data)
	o.Data = o.Data[:n]
	return err == nil
}

// decodeAnyForm decodes a process.output with encoding/json.
func decodeAnyForm(msg []byte) (o Output, ok bool) {
	var n struct {
		Method string
		Params rpc.Output
	}
	if json.Unmarshal(msg, &n) != nil || n.Method != rpc.NotifyOutput {
		return o, false
	}
	p := &n.Params
	o = Output{Seq: p.Seq, Type: p.Type, Data: []byte(p.Data), session: []byte(p.SessionID)}
	return o, o.setOptional(p)
}
