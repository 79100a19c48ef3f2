package codex

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxIDBytes is the longest id of a request, as JSON.
const maxIDBytes = 256

// request is a message of a client: a request, or a notification, which has no id.
type request struct {
	id     json.RawMessage // a string or an int64, nil for a notification
	method string
	params json.RawMessage // nil if there are none
}

var (
	errNotUTF8   = errors.New("the message is not UTF-8")
	errBatch     = errors.New("batches are not supported")
	errNotObject = errors.New("the message is not a JSON object")
	errNoMethod  = errors.New("method must be a string that is not empty")
	errID        = errors.New("id must be a string or an integer of 64 bits, of at most 256 bytes")
	errParams    = errors.New("params must be an object")
)

// parse parses a message. ok is false for a response, which is ignored, because the server sends no
// requests. The result aliases text.
func parse(text []byte) (r request, ok bool, err error) {
	if !utf8.Valid(text) {
		return r, false, errNotUTF8
	}
	text = bytes.TrimLeft(text, " \t\r\n")
	switch {
	case len(text) > 0 && text[0] == '[':
		return r, false, errBatch
	case len(text) == 0 || text[0] != '{':
		return r, false, errNotObject
	}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method json.RawMessage `json:"method"`
		Params json.RawMessage `json:"params"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return r, false, errors.New("the message is not valid JSON: " + err.Error())
	}
	if m.Method == nil && (m.Result != nil || m.Error != nil) {
		return r, false, nil
	}
	if json.Unmarshal(m.Method, &r.method) != nil || r.method == "" {
		return r, false, errNoMethod
	}
	if m.ID != nil && !validID(m.ID) {
		return r, false, errID
	}
	if p := m.Params; p != nil && !bytes.Equal(p, []byte("null")) {
		if p[0] != '{' {
			return r, false, errParams
		}
		r.params = p
	}
	r.id = m.ID
	return r, true, nil
}

func validID(id json.RawMessage) bool {
	if len(id) > maxIDBytes {
		return false
	}
	if id[0] == '"' {
		return true
	}
	_, err := strconv.ParseInt(string(id), 10, 64)
	return err == nil
}

// noID is the id of an error about a message that has none.
var noID = json.RawMessage("-1")

// reply returns the message that answers a request.
func reply(id json.RawMessage, result any, err error) []byte {
	if e, ok := result.(encoder); ok && err == nil {
		b := make([]byte, 0, e.size()+len(id)+32)
		b = append(append(append(b, `{"id":`...), id...), `,"result":`...)
		return append(e.append(b), '}')
	}
	var m any = struct {
		ID     json.RawMessage `json:"id"`
		Result any             `json:"result"`
	}{id, result}
	if err != nil {
		m = struct {
			Error *wireError      `json:"error"`
			ID    json.RawMessage `json:"id"`
		}{toWire(err), id}
	}
	return marshal(m)
}

// notification returns a notification of the server.
func notification(method string, params any) []byte {
	return marshal(struct {
		Method string `json:"method"`
		Params any    `json:"params"`
	}{method, params})
}

// marshal encodes a message. Its types can always be encoded.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("codex: " + err.Error())
	}
	return b
}

// decode decodes the params of a request. Unknown fields are ignored, as in Codex's own server.
func decode[P any](raw json.RawMessage) (p P, err error) {
	if raw == nil {
		raw = json.RawMessage("{}")
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		var field *json.UnmarshalTypeError
		if errors.As(err, &field) && field.Field != "" {
			return p, invalidParams("%s must not be a JSON %s", field.Field, field.Value)
		}
		return p, invalidParams("%v", err)
	}
	return p, nil
}
