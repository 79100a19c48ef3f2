package wire

import "fmt"

// maxNesting is the greatest depth of arrays and objects in a message. It bounds the recursion of
// what decodes params.
const maxNesting = 512

// Error reports why a message or an item of a batch is not a call.
type Error struct {
	// Syntax is set if the message is not JSON: a parse error (-32700). Otherwise it is an invalid
	// request (-32600).
	Syntax bool
	Reason string
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

func invalidf(format string, args ...any) *Error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// Call is a request or notification of a message (JSON-RPC 2.0 §4), or an item of a message that is
// neither.
type Call struct {
	// ID is the raw JSON of the id, to be sent back byte for byte. It is nil for a notification,
	// and "null" for a request whose id is null.
	ID []byte
	// Method is the name of the method, unescaped.
	Method string
	// Params is the raw JSON of the params, an object or an array; nil if they are left out or
	// null.
	Params []byte
	// Long is the last long string in the call, as raw JSON, or nil. [Members] does not scan it
	// again.
	Long []byte
	// Response is set if the item is a response: it has a "result" or an "error" and no "method".
	// Responses must not be answered, or two peers could answer each other forever. No other field
	// is set.
	Response bool
	// Err is the error of an item that is not a valid request, or nil. It must be answered, with
	// ID, or with a null id if ID is nil.
	Err *Error
}

// ParseMessage parses a message, the text of one WebSocket message, and appends its calls to calls.
// batch reports whether the message is an array, so that the replies have to be one too. The whole
// message is checked against the grammar of RFC 8259; the caller has to check that it is UTF-8. ID,
// Params and Long of the calls alias msg.
//
// If there is no call to answer, err is the only reply, with a null id, and calls is returned
// unchanged: a parse error if the message is not JSON or is nested deeper than 512, an invalid
// request if it is an empty batch or one of more than maxBatch items. Other errors are in the
// [Call.Err] of the item: it is not an object, its "jsonrpc" is not "2.0", its method is not a
// string, its params are a scalar, or its id is not a string, number or null.
//
// Names of members must match exactly. If a name occurs several times, the last value counts;
// unknown names are ignored. Apart from calls and the names of methods, the memory that is
// allocated does not depend on msg.
func ParseMessage(msg []byte, maxBatch int, calls []Call) (out []Call, batch bool, err *Error) {
	return parseMessage(&scanner{text: msg}, envelope{maxBatch: maxBatch}, calls)
}

// ParseUnversioned is ParseMessage for clients that may leave out "jsonrpc".
func ParseUnversioned(msg []byte, maxBatch int, calls []Call) (out []Call, batch bool, err *Error) {
	return parseMessage(&scanner{text: msg}, envelope{maxBatch: maxBatch, unversioned: true}, calls)
}

// envelope is what a message may be.
type envelope struct {
	maxBatch    int
	unversioned bool // "jsonrpc" may be left out
}

func parseMessage(s *scanner, e envelope, calls []Call) (out []Call, batch bool, err *Error) {
	s.space()
	if s.peek() == '[' {
		out, err = e.batch(s, calls)
		return out, true, err
	}
	call, syntax := e.call(s)
	if syntax == nil {
		syntax = s.end()
	}
	if syntax != nil {
		return calls, false, &Error{Syntax: true, Reason: syntax.Error()}
	}
	return append(calls, call), false, nil
}

// batch parses an array of calls (§6), up to the end of the message.
func (e envelope) batch(s *scanner, calls []Call) ([]Call, *Error) {
	out, items := calls, 0
	syntax := s.elements(func() error {
		if items++; items > e.maxBatch {
			_, err := s.value()
			return err
		}
		call, err := e.call(s)
		out = append(out, call)
		return err
	})
	if syntax == nil {
		syntax = s.end()
	}
	switch {
	case syntax != nil:
		return calls, &Error{Syntax: true, Reason: syntax.Error()}
	case items == 0:
		return calls, invalidf("the batch is empty")
	case items > e.maxBatch:
		return calls, invalidf("the batch has %d items, the limit is %d", items, e.maxBatch)
	}
	return out, nil
}

// members are the raw values of the members of a request, nil if they are left out.
type members struct{ version, method, params, id, result, err []byte }

// call parses the next value as a call. The error is a syntax error.
func (e envelope) call(s *scanner) (Call, error) {
	if s.peek() != '{' {
		_, err := s.value()
		return Call{Err: invalidf("not an object")}, err
	}
	var m members
	s.long = nil
	err := s.members(func(name []byte) error {
		value, err := s.value()
		if member := m.named(name); member != nil {
			*member = value
		}
		return err
	})
	if err != nil {
		return Call{}, err
	}
	if e.unversioned && m.version == nil {
		m.version = []byte(`"2.0"`)
	}
	call := m.call()
	if call.Params != nil {
		call.Long = s.long
	}
	return call, nil
}

// named returns the member of this name, a JSON string, or nil if it is unknown.
func (m *members) named(name []byte) *[]byte {
	switch {
	case isString(name, "jsonrpc"):
		return &m.version
	case isString(name, "method"):
		return &m.method
	case isString(name, "params"):
		return &m.params
	case isString(name, "id"):
		return &m.id
	case isString(name, "result"):
		return &m.result
	case isString(name, "error"):
		return &m.err
	}
	return nil
}

// call checks the members of a request (§4).
func (m *members) call() Call {
	c := Call{ID: m.id}
	switch {
	case m.method == nil && (m.result != nil || m.err != nil):
		return Call{Response: true}
	case !KindOf(m.id).in(None | Null | String | Number):
		c.ID = nil
		c.Err = invalidf("id must be a string, a number or null")
	case !isString(m.version, "2.0"):
		c.Err = invalidf(`jsonrpc must be "2.0"`)
	case !KindOf(m.method).in(String):
		c.Err = invalidf("method must be a string")
	case !KindOf(m.params).in(None | Null | Object | Array):
		c.Err = invalidf("params must be an object or an array")
	default:
		c.Method = stringValue(m.method)
		if KindOf(m.params).in(Object | Array) {
			c.Params = m.params
		}
	}
	return c
}
