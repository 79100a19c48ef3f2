package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/runnel-rpc/runnel/rpc"
)

// Output is a process.output. Data is what it says once decoded, and valid until the call that it is given
// to returns.
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

var (
	outputName = []byte(`{"jsonrpc":"2.0","method":"process.output"`)
	outputHead = []byte(`{"jsonrpc":"2.0","method":"process.output","params":{"session_id":"`)
	afterID    = []byte(`","seq":`)
	afterSeq   = []byte(`,"type":"`)
	afterType  = []byte(`","data":"`)
	ends       = []byte(`}}`)
	endsText   = []byte(`"}}`)
	endsBase   = []byte(`:"base64"}}`)
	endsCut    = []byte(`","partial":true}}`)
	types      = [...]string{rpc.StreamStdout, rpc.StreamStderr, rpc.StreamPTY}
)

// decodeOutput decodes a process.output. The form in which the server sends it is decoded by hand, in
// place; any other one by encoding/json. Not ok means that it is something else.
func decodeOutput(msg []byte) (o Output, ok bool) {
	if !bytes.HasPrefix(msg, outputHead) {
		if bytes.HasPrefix(msg, notificationHead) && !bytes.HasPrefix(msg, outputName) {
			return o, false
		}
		return decodeSlow(msg)
	}
	rest := msg[len(outputHead):]
	if !plain(msg) { // the text is decoded before it is known whether the rest is as expected
		rest = bytes.Clone(rest)
	}
	const idLength = 36
	if len(rest) > idLength {
		o.session, rest = rest[:idLength], rest[idLength:]
		if o.decodeFast(rest) {
			return o, true
		}
	}
	return decodeSlow(msg)
}

// plain reports whether a message certainly has nothing behind its text, or that it is partial.
func plain(msg []byte) bool {
	return bytes.HasSuffix(msg, endsCut) || bytes.HasSuffix(msg, endsText) && !bytes.HasSuffix(msg, endsBase)
}

// decodeFast touches nothing of the message before it is sure of its form up to the text.
func (o *Output) decodeFast(rest []byte) bool {
	rest, ok := bytes.CutPrefix(rest, afterID)
	if !ok {
		return false
	}
	n := 0
	for n < len(rest) && n < 18 && rest[n]-'0' < 10 {
		o.Seq = o.Seq*10 + int64(rest[n]-'0')
		n++
	}
	if rest, ok = bytes.CutPrefix(rest[n:], afterSeq); n == 0 || !ok {
		return false
	}
	for _, t := range types {
		if r, found := bytes.CutPrefix(rest, []byte(t)); found {
			o.Type, rest = t, r
		}
	}
	if rest, ok = bytes.CutPrefix(rest, afterType); o.Type == "" || !ok {
		return false
	}
	return o.decodeText(rest)
}

// decodeText decodes the text, in place, and the flags behind it.
func (o *Output) decodeText(rest []byte) bool {
	text, rest, err := rpc.UnescapeText(rest[:0], rest)
	if err != nil {
		return false
	}
	o.Data = text
	switch {
	case bytes.Equal(rest, ends):
		return true
	case bytes.Equal(rest, endsCut[1:]):
		o.Partial = true
		return true
	case len(rest) < len(ends)+1 || rest[0] != ',' || !bytes.HasSuffix(rest, ends):
		return false
	}
	rest[0] = '{'
	var flags rpc.Output
	return json.Unmarshal(rest[:len(rest)-1], &flags) == nil && o.flag(&flags)
}

// flag takes over what is rare: everything but the text, which is base64 if the flags say so.
func (o *Output) flag(p *rpc.Output) bool {
	o.Truncated, o.Partial, o.Replaced, o.DroppedBytes = p.Truncated, p.Partial, p.Replaced, p.DroppedBytes
	if p.Encoding != rpc.EncodingBase64 {
		return true
	}
	n, err := base64.StdEncoding.Decode(o.Data, o.Data)
	o.Data = o.Data[:n]
	return err == nil
}

func decodeSlow(msg []byte) (o Output, ok bool) {
	var n struct {
		Method string
		Params rpc.Output
	}
	if json.Unmarshal(msg, &n) != nil || n.Method != rpc.NotifyOutput {
		return o, false
	}
	p := &n.Params
	o = Output{Seq: p.Seq, Type: p.Type, Data: []byte(p.Data), session: []byte(p.SessionID)}
	return o, o.flag(p)
}
