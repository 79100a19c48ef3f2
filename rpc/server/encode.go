package server

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/stream"
)

// encoder encodes the items of one session's log as notifications for one connection. Output is
// escaped directly into the frame; everything else is rare and is encoded by encoding/json.
type encoder struct {
	dialect  *dialect
	of       named
	head     []byte // the beginning of a process.output, up to its seq
	encoding string
	lines    bool // output consists of lines: one without a newline is partial
}

func newEncoder(of named, spec *session.Spec, d *dialect) encoder {
	e := newEventEncoder(of, spec, d)
	e.head = append([]byte(`{"jsonrpc":"2.0",`), e.head[1:]...)
	return e
}

// newEventEncoder returns an encoder for appendEvent.
func newEventEncoder(of named, spec *session.Spec, d *dialect) encoder {
	head := wire.AppendQuote([]byte(`{"method":"process.output","params":{"session_id":`), of.name)
	return encoder{
		dialect:  d,
		of:       of,
		head:     append(head, `,"seq":`...),
		encoding: spec.Encoding,
		lines:    !spec.Output.Raw,
	}
}

// appendItem appends an item as a text frame.
func (e *encoder) appendItem(buf []byte, it *stream.Item) []byte {
	if it.Gap || it.Kind == stream.Event {
		return append(buf, frame(frameText, notification(e.event(it)))...)
	}
	guess := len(e.head) + len(it.Data)*65/64 + 80
	return appendFrame(buf, frameText, guess, func(b []byte) []byte { return e.appendOutput(b, it) })
}

func (e *encoder) appendOutput(b []byte, it *stream.Item) []byte {
	b = append(b, e.head...)
	b = strconv.AppendInt(b, it.To, 10)
	b = append(b, `,"type":"`...)
	b = append(b, streamNames[it.Kind]...)
	b = append(b, `","data":"`...)
	replaced, base := 0, false
	switch {
	case e.encoding == rpc.EncodingBase64, e.encoding == rpc.EncodingAuto && !utf8.Valid(it.Data):
		base = true
		b = base64.StdEncoding.AppendEncode(b, it.Data)
	case e.encoding == rpc.EncodingAuto: // it is UTF-8
		b = wire.AppendText(b, it.Data)
	default:
		b, replaced = wire.AppendReplaced(b, it.Data)
	}
	b = append(b, '"')
	if base {
		b = append(b, `,"encoding":"base64"`...)
	}
	return append(e.appendFlags(b, it, replaced), "}}"...)
}

func (e *encoder) appendFlags(b []byte, it *stream.Item, replaced int) []byte {
	if it.Truncated {
		b = append(b, `,"truncated":true`...)
	}
	if e.lines && it.Data[len(it.Data)-1] != '\n' {
		b = append(b, `,"partial":true`...)
	}
	if replaced > 0 {
		b = strconv.AppendInt(append(b, `,"replaced":`...), int64(replaced), 10)
	}
	if it.Dropped > 0 {
		b = strconv.AppendInt(append(b, `,"dropped_bytes":`...), it.Dropped, 10)
	}
	return b
}

// appendEvent appends an item as an event of the result of read.
func (e *encoder) appendEvent(buf []byte, it *stream.Item) []byte {
	if it.Gap || it.Kind == stream.Event {
		method, params := e.event(it)
		return append(buf, mustMarshal(rpc.Event{Method: method, Params: mustMarshal(params)})...)
	}
	return e.appendOutput(buf, it)
}

// event returns the notification of a gap or of a state event.
func (e *encoder) event(it *stream.Item) (method string, params any) {
	if it.Gap {
		return rpc.NotifyGap, rpc.Gap{SessionID: e.of.name, Seq: it.To, FromSeq: it.From, LostBytes: it.Lost, Reason: reason(it)}
	}
	switch ev := it.Event.(type) {
	case session.Change:
		return "process." + ev.Status, rpc.StateEvent{
			SessionID: e.of.name,
			Seq:       it.To,
			Status:    ev.Status,
			PID:       ev.PID,
			PGID:      ev.PGID,
		}
	case *session.LeaderExit:
		how := exitStatus(ev.Code, ev.Signal, ev.Known)
		return rpc.NotifyExited, rpc.Exited{SessionID: e.of.name, Seq: it.To, ExitCode: how.ExitCode, Signal: how.Signal}
	case session.SpoolStopped:
		return rpc.NotifySpool, rpc.Spool{SessionID: e.of.name, Seq: it.To, State: string(spool.StateStopped), Reason: spoolReason(ev.Err)}
	case session.Waiting:
		return rpc.NotifyQueued, rpc.Queued{SessionID: e.of.name, Seq: it.To, Position: ev.Position}
	case *session.Failed:
		return rpc.NotifyFailed, rpc.Failed{SessionID: e.of.name, Seq: it.To, Error: startError(ev.Err)}
	case *session.Record:
		return rpc.NotifyCompleted, e.dialect.completion(e.of, ev)
	}
	panic("server: event without a notification")
}

// startError returns an error as process.failed has it.
func startError(err error) rpc.StartError {
	e, _ := rpcError(err, "")
	failure := rpc.StartError{Code: e.Code, Message: e.Message}
	if e.Data != nil {
		failure.Data = mustMarshal(e.Data)
	}
	return failure
}

// reason returns the reason of a gap: the spool does not have the output, the log had evicted it before
// the cursor was created, or the connection was too slow.
func reason(it *stream.Item) string {
	switch {
	case it.Spool:
		return rpc.GapSpool
	case it.Late:
		return rpc.GapReplayWindow
	}
	return rpc.GapSlowClient
}

// notification returns the text of a notification. It panics if params cannot be encoded.
func notification(method string, params any) []byte {
	return mustMarshal(struct {
		JSONRPC string `json:"jsonrpc"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{"2.0", method, params})
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
