package rpc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

var errNotBytes = errors.New(`must be a string or {"base64": "…"}`)

// Bytes is a string, or `{"base64": …}` for bytes that are not UTF-8. NUL is -32602.
//
// It is for what may hold any bytes, like paths and arguments.
type Bytes string

// UnmarshalJSON accepts either form. Null changes nothing.
func (b *Bytes) UnmarshalJSON(raw []byte) error {
	switch wire.KindOf(raw) {
	case wire.Null:
		return nil
	case wire.String:
		return wire.Decode(raw, (*string)(b))
	case wire.Object:
		return b.unmarshalBase64(raw)
	}
	return errNotBytes
}

func (b *Bytes) unmarshalBase64(raw []byte) error {
	var object struct {
		Base64 *string `json:"base64" rpc:"required"`
	}
	if err := wire.Decode(raw, &object); err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(*object.Base64)
	if err != nil {
		return &wire.FieldError{Field: "base64", Text: "is not valid base64"}
	}
	*b = Bytes(data)
	return nil
}

// MarshalJSON writes a string if b is UTF-8, and otherwise the object.
func (b Bytes) MarshalJSON() ([]byte, error) { return appendBytes(nil, string(b)), nil }

// Env is a set of changes to an environment: a string sets a variable, nil unsets it. Values may
// hold any bytes, as [Bytes] do; names must be UTF-8.
type Env map[string]*string

// UnmarshalJSON accepts an object of [Bytes] and nulls. Null changes nothing.
func (e *Env) UnmarshalJSON(raw []byte) error {
	if wire.KindOf(raw) == wire.Null {
		return nil
	}
	var values map[string]*Bytes
	if err := wire.Decode(raw, &values); err != nil {
		return err
	}
	*e = make(Env, len(values))
	for name, value := range values {
		(*e)[name] = (*string)(value)
	}
	return nil
}

// MarshalJSON fails if a name is not UTF-8.
func (e Env) MarshalJSON() ([]byte, error) {
	if e == nil {
		return []byte("null"), nil
	}
	values := make(map[string]*Bytes, len(e))
	for name, value := range e {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("the name of the environment variable %q is not UTF-8", name)
		}
		values[name] = (*Bytes)(value)
	}
	return json.Marshal(values)
}

// appendBytes appends s in the form of [Bytes].
func appendBytes(dst []byte, s string) []byte {
	if utf8.ValidString(s) {
		return wire.AppendQuote(dst, s)
	}
	dst = append(dst, `{"base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
	return append(dst, `"}`...)
}

// replaced returns s with each byte that is not part of valid UTF-8 replaced by U+FFFD.
func replaced(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}
