package wire

import "fmt"

// maxNesting is how deep arrays and objects of a message may lie in one another. It keeps whoever decodes
// params from recursing deeper.
const maxNesting = 512

// Error reports why a message or an item of a batch is not a call.
type Error struct {
	// Syntax is set if the message is not JSON: a parse error (-32700). Otherwise it is an invalid request (-32600).
	Syntax bool
	Reason string
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

func invalidf(format string, args ...any) *Error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// A Call is one request or notification of a message (JSON-RPC 2.0 §4), or what stands in the place of one.
type Call struct {
	// ID is the raw JSON of the id, to be echoed byte for byte. It is nil for a notification, and "null"
	// for a request whose id is null.
	ID []byte
	// Method is the name of the method, unescaped.
	Method string
	// Params is the raw JSON of the params, an object or an array; nil where they are left out or null.
	Params []byte
	// Response reports that the item is a response: it has a "result" or an "error" and no "method". It is
	// ignored, since an answer to an answer could go on without end. Nothing else is set.
	Response bool
	// Err is the answer to an item that is no valid request, else nil. It is always answered: under ID,
	// or under a null id where ID is nil.
	Err *Error
}

// ParseMessage splits a message, the text of one WebSocket message, into its calls and appends them to
// calls. batch reports whether they came in an array, so that their answers go into one too. The whole
// message is checked against the grammar of RFC 8259; that it is UTF-8 must be known. ID and Params alias
// msg.
//
// Where there is no call to answer, err is the one answer, under a null id, and calls is returned as it
// was: a parse error (-32700) for a message that is not JSON or in which arrays and objects lie more than
// 512 deep, an invalid request (-32600) for an empty batch and for one of more than maxBatch items. What
// else may be wrong is told by the [Call.Err] of an item: an item that is no object, a "jsonrpc" other
// than "2.0", a method that is no string, params that are a scalar, an id that is neither string, number nor
// null.
//
// Names of members are matched exactly, their last occurrence counts, unknown ones are ignored. Beside
// calls and the names of methods, what is allocated does not grow with msg.
func ParseMessage(msg []byte, maxBatch int, calls []Call) (out []Call, batch bool, err *Error) {
	return parseMessage(&scanner{text: msg}, envelope{maxBatch: maxBatch}, calls)
}

// ParseUnversioned is [ParseMessage] for clients that may leave out "jsonrpc".
func ParseUnversioned(msg []byte, maxBatch int, calls []Call) (out []Call, batch bool, err *Error) {
	return parseMessage(&scanner{text: msg}, envelope{maxBatch: maxBatch, unversioned: true}, calls)
}

// envelope says what a message may be.
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

// batch parses an array of calls (§6), to the end of the message.
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

// members are the raw values of a request's members, nil where they are left out.
type members struct{ version, method, params, id, result, err []byte }

// call parses the value at s as a call. The error is one of syntax.
func (e envelope) call(s *scanner) (Call, error) {
	if s.peek() != '{' {
		_, err := s.value()
		return Call{Err: invalidf("not an object")}, err
	}
	var m members
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
	return m.call(), nil
}

// named is the member of that name, a JSON string; nil if there is none.
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
