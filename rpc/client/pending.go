package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// pendingCalls are the calls of a connection that wait for a reply, by id. The zero value is ready
// for use.
type pendingCalls struct {
	mu   sync.Mutex
	byID map[string]pendingCall
}

// pendingCall is a call that waits for a reply.
type pendingCall struct {
	received chan reply
	accepted func() // called when a result is received, before anything that follows; may be nil
}

// reply is the server's reply to a call.
type reply struct {
	result []byte
	err    *rpc.Error
}

// decode decodes the result into v, if v is not nil.
func (r reply) decode(v any) error {
	switch {
	case r.err != nil:
		return r.err
	case v == nil:
		return nil
	}
	return json.Unmarshal(r.result, v)
}

// add adds a call and returns the channel that receives its reply. accepted may be nil.
func (p *pendingCalls) add(id string, accepted func()) <-chan reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil {
		p.byID = make(map[string]pendingCall)
	}
	received := make(chan reply, 1)
	p.byID[id] = pendingCall{received, accepted}
	return received
}

func (p *pendingCalls) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}

// deliver passes the reply to its call. A reply to an unknown id is ignored: that call was canceled.
func (p *pendingCalls) deliver(id string, result []byte, err *rpc.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if call, ok := p.byID[id]; ok {
		if err == nil && call.accepted != nil {
			call.accepted()
		}
		call.received <- reply{bytes.Clone(result), err}
		delete(p.byID, id)
	}
}

// receive processes a message that is not a notification. It returns an error if the message is not
// a reply.
func (p *pendingCalls) receive(msg []byte) error {
	if id, result, ok := cutResult(msg); ok {
		p.deliver(string(id), result, nil)
		return nil
	}
	var m struct {
		ID     json.RawMessage
		Result json.RawMessage
		Error  *struct {
			Code    int
			Message string
			Data    json.RawMessage
		}
	}
	if err := json.Unmarshal(msg, &m); err != nil {
		return err
	}
	if m.Result == nil && m.Error == nil {
		return errors.New("message has neither method, result nor error")
	}
	var id any
	if json.Unmarshal(m.ID, &id) != nil {
		return errors.New("reply has no id")
	}
	switch id := id.(type) {
	case string:
		var failure *rpc.Error
		if m.Error != nil {
			failure = &rpc.Error{Code: m.Error.Code, Message: m.Error.Message}
			var data rpc.Data
			if json.Unmarshal(m.Error.Data, &data) == nil && data != nil {
				failure.Data = data
			}
		}
		p.deliver(id, m.Result, failure)
	case nil, float64: // not the id of a call of this client
	default:
		return errors.New("reply's id is neither a string nor a number")
	}
	return nil
}

// cutResult splits a reply in the form that the server writes. encoding/json would scan a result,
// which may be megabytes of output, several times.
func cutResult(msg []byte) (id, result []byte, ok bool) {
	rest, ok := bytes.CutPrefix(msg, replyPrefix)
	if !ok || len(rest) < 2 || rest[0] != '"' || msg[len(msg)-1] != '}' {
		return nil, nil, false
	}
	id, rest, ok = bytes.Cut(rest[1:], []byte{'"'})
	result, isResult := bytes.CutPrefix(rest, resultPrefix)
	if !ok || !isResult {
		return nil, nil, false
	}
	return id, result[:len(result)-1], true
}
