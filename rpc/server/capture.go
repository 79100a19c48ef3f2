package server

import (
	"context"
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// captureWait is how long a reply waits for captured output that is only on the disk, or is not saved yet.
const captureWait = 5 * time.Second

// captured returns the JSON of a result with the newest n bytes of each stream, and the oldest that
// the execute asked for. The result is made by reply of the output up to seq. If its JSON does not
// fit into a message, less output is captured and marked as truncated; so it is if the disk does not
// respond.
func captured(ctx context.Context, s *session.Session, n int64, reply func(out rpc.CapturedOutput, seq int64) any) []byte {
	ctx, cancel := context.WithTimeout(ctx, captureWait)
	defer cancel()
	for oldest := s.Spec().CaptureHead; ; oldest, n = oldest/2, n/2 {
		c := s.Capture(ctx, oldest, n)
		b := mustMarshal(reply(capturedOutput(s, &c), c.Seq))
		if len(b) <= rpc.MaxFrameBytes-maxReplyOverhead || n == 0 && oldest == 0 {
			return b
		}
	}
}

func capturedOutput(s *session.Session, c *stream.Capture) (o rpc.CapturedOutput) {
	encoding, withHead := s.Spec().Encoding, s.Spec().CaptureHead > 0
	program := &s.Spec().Program
	if program.Terminal != nil {
		p := newCapturedText(&c.Of[stream.PTY], encoding, withHead)
		o.PTY, o.PTYTruncated, o.PTYEncoding, o.PTYReplaced = p.tail, p.truncated, p.encoding, p.replaced
		o.PTYHead, o.PTYOmittedBytes = p.head, p.omitted
		return o
	}
	p := newCapturedText(&c.Of[stream.Stdout], encoding, withHead)
	o.Stdout, o.StdoutTruncated, o.StdoutEncoding, o.StdoutReplaced = p.tail, p.truncated, p.encoding, p.replaced
	o.StdoutHead, o.StdoutOmittedBytes = p.head, p.omitted
	if program.MergeStderr {
		return o
	}
	p = newCapturedText(&c.Of[stream.Stderr], encoding, withHead)
	o.Stderr, o.StderrTruncated, o.StderrEncoding, o.StderrReplaced = p.tail, p.truncated, p.encoding, p.replaced
	o.StderrHead, o.StderrOmittedBytes = p.head, p.omitted
	return o
}

// capturedText is the captured output of one stream. head is nil unless the execute asked for it.
type capturedText struct {
	head, tail *string
	omitted    *int64
	truncated  bool
	encoding   string
	replaced   int
}

func newCapturedText(e *stream.Ends, encoding string, withHead bool) capturedText {
	head, tail := e.Head, e.Tail
	c := capturedText{truncated: e.Truncated}
	switch {
	case encoding == rpc.EncodingBase64, encoding == rpc.EncodingAuto && !(utf8.Valid(head) && utf8.Valid(tail)):
		c.encoding = rpc.EncodingBase64
	case c.truncated || len(head) > 0: // a character may have been cut
		head, tail = head[:wholeEnd(head)], tail[wholeBegin(tail):]
	}
	if withHead {
		omitted := e.Omitted + int64(len(e.Head)-len(head)+len(e.Tail)-len(tail))
		c.head, c.omitted = c.text(head), &omitted
		c.truncated = c.truncated || omitted > 0
	}
	c.tail = c.text(tail)
	return c
}

// text returns a part in the encoding. encoding/json replaces each byte that is not UTF-8 by
// U+FFFD.
func (c *capturedText) text(b []byte) *string {
	text := string(b)
	if c.encoding == rpc.EncodingBase64 {
		text = base64.StdEncoding.EncodeToString(b)
	} else {
		c.replaced += invalid(b)
	}
	return &text
}

// wholeBegin returns the index of the first byte in b that begins a character.
func wholeBegin(b []byte) (n int) {
	for n < utf8.UTFMax-1 && n < len(b) && !utf8.RuneStart(b[n]) {
		n++
	}
	return n
}

// wholeEnd returns the index at which the last complete character in b ends.
func wholeEnd(b []byte) int {
	for k := 1; k < utf8.UTFMax && k <= len(b); k++ {
		if utf8.RuneStart(b[len(b)-k]) {
			if !utf8.FullRune(b[len(b)-k:]) {
				return len(b) - k
			}
			break
		}
	}
	return len(b)
}

// invalid counts the bytes that are not UTF-8.
func invalid(b []byte) (n int) {
	if utf8.Valid(b) {
		return 0
	}
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		b = b[size:]
	}
	return n
}
