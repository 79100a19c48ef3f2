package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

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
	conn *client.Client
	id   string
}

// read implements logSource.
func (l *sessionLog) read(ctx context.Context, after, most int64, timeout rpc.Seconds) (res rpc.ReadResult, err error) {
	p := rpc.ReadParams{SessionID: l.id, AfterSeq: after, Timeout: timeout}
	if most > 0 {
		p.MaxBytes = &most
	}
	err = l.conn.CallIdempotent(ctx, rpc.MethodRead, p, &res)
	return res, err
}

// since returns the position, not before after, at which the output of a time begins.
func (l *sessionLog) since(ctx context.Context, after int64, at time.Time) (int64, error) {
	if !hasCapability(l.conn.Connected(), "since") {
		return 0, errors.New("the server does not know when output was written: --since is not possible")
	}
	ago := min(max(0, time.Since(at)), rpc.MaxSeconds*time.Second)
	one := int64(1)
	p := rpc.ReadParams{
		SessionID: l.id, AfterSeq: after, Since: rpc.Seconds{Set: true, D: ago}, MaxBytes: &one, Timeout: rpc.Seconds{Set: true},
	}
	var res rpc.ReadResult
	if err := l.conn.CallIdempotent(ctx, rpc.MethodRead, p, &res); err != nil {
		return 0, err
	}
	if len(res.Events) == 0 {
		return res.LastSeq, nil
	}
	return eventBegin(res.Events[0])
}

// eventBegin returns the position at which an event begins.
func eventBegin(e rpc.Event) (int64, error) {
	out, gap, err := decodeEvent(e)
	switch {
	case err != nil:
		return 0, err
	case gap != nil:
		return gap.FromSeq, nil
	case out != nil:
		return out.seq - out.length, nil
	case e.Method == rpc.NotifySpool: // has no length
		return eventSeq(e)
	}
	seq, err := eventSeq(e)
	return seq - 1, err
}

func eventSeq(e rpc.Event) (int64, error) {
	var p struct{ Seq int64 }
	err := json.Unmarshal(e.Params, &p)
	return p.Seq, err
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
	length int64 // in the log
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
			out.length = int64(len(o.Data) - o.Replaced*(utf8.RuneLen(utf8.RuneError)-1))
			return out, nil, nil
		}
		var err error
		out.data, err = base64.StdEncoding.DecodeString(o.Data)
		out.length = int64(len(out.data))
		return out, nil, err
	case rpc.NotifyGap:
		var g rpc.Gap
		err := json.Unmarshal(e.Params, &g)
		return nil, &g, err
	}
	return nil, nil, nil
}
