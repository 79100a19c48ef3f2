package mcp

import (
	"encoding/base64"

	"github.com/runnel-rpc/runnel/rpc"
)

// started is the position at which the output of a session begins: after process.started.
const started = 1

// waited is the result of an execute with wait, or of a wait: Status is rpc.StatusRunning or
// rpc.StatusQueued if the session has not ended.
type waited struct {
	rpc.Captured
	LastSeq int64 `json:"last_seq"`
}

func (w *waited) ended() bool { return w.Status != rpc.StatusRunning && w.Status != rpc.StatusQueued }

// result returns the session, which has ended, with its captured output.
func (w *waited) result() (*sessionResult, error) {
	e, err := w.excerpt()
	if err != nil {
		return nil, err
	}
	r := &sessionResult{SessionID: w.SessionID, State: stateEnded, Completion: &w.Completion}
	r.set(e)
	return r, nil
}

// excerpt returns the captured output. A session that the tools have started has one stream.
func (w *waited) excerpt() (e *excerpt, err error) {
	e = &excerpt{last: w.Seq}
	if e.head, err = w.decode(w.StdoutHead); err != nil {
		return nil, err
	}
	if e.tail, err = w.decode(w.Stdout); err != nil {
		return nil, err
	}
	if w.StdoutOmittedBytes != nil {
		e.omitted, e.resume = *w.StdoutOmittedBytes, started+int64(len(e.head))
	}
	return e, nil
}

func (w *waited) decode(text *string) ([]byte, error) {
	switch {
	case text == nil:
		return nil, nil
	case w.StdoutEncoding == rpc.EncodingBase64:
		return base64.StdEncoding.DecodeString(*text)
	}
	return []byte(*text), nil
}
