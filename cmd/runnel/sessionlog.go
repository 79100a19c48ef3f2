package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// endOfLog is a position beyond the end of any log. The result of a read from there has the end of
// the log.
const endOfLog = 1<<53 - 1

// logSource is a log that can be read from any position.
type logSource interface {
	// read returns the events after a position, with at most that many bytes of output, 0 for as
	// many as fit into a message. If there are none, it waits for the timeout.
	read(ctx context.Context, after, most int64, timeout rpc.Seconds) (rpc.ReadResult, error)
}

// sessionLog reads the log of a session.
type sessionLog struct {
	conn  *client.Client
	id    string
	since time.Time // reads leave out what was written before; zero for nothing
}

// read implements logSource.
func (l *sessionLog) read(ctx context.Context, after, most int64, timeout rpc.Seconds) (res rpc.ReadResult, err error) {
	p := rpc.ReadParams{SessionID: l.id, AfterSeq: after, Timeout: timeout}
	if !l.since.IsZero() {
		p.Since = rpc.Seconds{Set: true, D: max(0, time.Since(l.since))}
	}
	if most > 0 {
		p.MaxBytes = &most
	}
	err = l.conn.CallIdempotent(ctx, rpc.MethodRead, p, &res)
	return res, err
}

// end returns the position at which the log ends now.
func (l *sessionLog) end(ctx context.Context) (int64, error) {
	res, err := l.read(ctx, endOfLog, 0, rpc.Seconds{Set: true})
	return res.LastSeq, err
}

// logOutput is the output of one event.
type logOutput struct {
	seq    int64 // the position at its end
	stream string
	data   []byte
}

// until returns the output before a position.
func (o *logOutput) until(end int64) []byte {
	if o.seq <= end {
		return o.data
	}
	return o.data[:max(0, int64(len(o.data))-(o.seq-end))]
}

// decodeEvent returns the output or the gap that an event is. Both are nil for other events.
func decodeEvent(e rpc.Event) (*logOutput, *rpc.Gap, error) {
	switch e.Method {
	case rpc.NotifyOutput:
		var o rpc.Output
		if err := json.Unmarshal(e.Params, &o); err != nil {
			return nil, nil, err
		}
		out := &logOutput{seq: o.Seq, stream: o.Type}
		if o.Encoding != rpc.EncodingBase64 {
			out.data = []byte(o.Data)
			return out, nil, nil
		}
		var err error
		out.data, err = base64.StdEncoding.DecodeString(o.Data)
		return out, nil, err
	case rpc.NotifyGap:
		var g rpc.Gap
		err := json.Unmarshal(e.Params, &g)
		return nil, &g, err
	}
	return nil, nil, nil
}
