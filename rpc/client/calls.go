package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// calls are those that wait for a reply, by id.
type calls struct {
	mu  sync.Mutex
	all map[string]chan reply
}

// reply is what the server answered to a call.
type reply struct {
	result []byte
	err    *rpc.Error
}

// decode decodes the result into v, if that is not nil.
func (r reply) decode(v any) error {
	switch {
	case r.err != nil:
		return r.err
	case v == nil:
		return nil
	}
	return json.Unmarshal(r.result, v)
}

// expect begins the wait for the reply to a call, and forget ends it.
func (c *calls) expect(id string) <-chan reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[string]chan reply)
	}
	answer := make(chan reply, 1)
	c.all[id] = answer
	return answer
}

func (c *calls) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, id)
}

// deliver gives the reply to the call that waits for it. One to no call is ignored: it was canceled.
func (c *calls) deliver(id string, result []byte, err *rpc.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.all[id]; answer != nil {
		answer <- reply{bytes.Clone(result), err}
		delete(c.all, id)
	}
}

// answered takes a message that is no notification. An error says that it is no reply either.
func (c *calls) answered(msg []byte) error {
	if id, result, ok := cutResult(msg); ok {
		c.deliver(string(id), result, nil)
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
		return errors.New("a message with neither method nor result nor error")
	}
	var id any
	if json.Unmarshal(m.ID, &id) != nil {
		return errors.New("a reply without an id")
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
		c.deliver(id, m.Result, failure)
	case nil, float64: // of no call that this client made
	default:
		return errors.New("a reply whose id is neither a string nor a number")
	}
	return nil
}

// cutResult takes a reply apart that has the form of our server's. A result may be output by the megabyte, and would
// be gone over several times by encoding/json.
func cutResult(msg []byte) (id, result []byte, ok bool) {
	rest, ok := bytes.CutPrefix(msg, replyHead)
	if !ok || len(rest) < 2 || rest[0] != '"' || msg[len(msg)-1] != '}' {
		return nil, nil, false
	}
	id, rest, ok = bytes.Cut(rest[1:], []byte{'"'})
	result, is := bytes.CutPrefix(rest, resultHead)
	if !ok || !is {
		return nil, nil, false
	}
	return id, result[:len(result)-1], true
}
