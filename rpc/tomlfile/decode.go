// Package tomlfile reads TOML files of an operator strictly: each key has to be one that is defined,
// written exactly as it is defined, and an error names the file, the line and the key.
package tomlfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Error is an error in a file. It is for the operator only: it may contain any part of the file.
type Error struct {
	File string // its path
	Line int    // from 1; 0 if it is not known
	Key  string // its path, as in principal.ci.programs[0].path; "" for the whole file, or if it is not known
	Err  error
}

func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where += fmt.Sprintf(":%d", e.Line)
	}
	if e.Key != "" {
		where += ": " + e.Key
	}
	return where + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// MaxErrors is the largest number of errors that are reported of one file.
const MaxErrors = 20

// Decode decodes a file into v, and returns the lines of its keys. isMap reports whether the keys
// below a path are any names, and not fields; nil means that all are fields. The error is an *Error,
// or several joined.
func Decode(file string, text []byte, v any, isMap func(path string) bool) (Lines, error) {
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(v); err != nil {
		return nil, located(file, err)
	}
	lines, odd := linesOf(text, isMap)
	var all []error
	for _, key := range odd[:min(len(odd), MaxErrors)] {
		all = append(all, &Error{file, lines.Of(key), key, errors.New("unknown field: fields are in lower case")})
	}
	return lines, errors.Join(all...)
}

// located converts an error of the decoder.
func located(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for i := range strict.Errors[:min(len(strict.Errors), MaxErrors)] {
			line, _ := strict.Errors[i].Position()
			all = append(all, &Error{file, line, strings.Join(strict.Errors[i].Key(), "."), errors.New("unknown field")})
		}
		return errors.Join(all...)
	}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := decode.Position()
		return &Error{file, line, strings.Join(decode.Key(), "."), errors.New(strings.TrimPrefix(decode.Error(), "toml: "))}
	}
	return &Error{File: file, Err: err}
}
