package spool

import (
	"bytes"
	"encoding/json"
)

// JSON is json.Marshal without escapes for HTML, which would make a command up to six times as long.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
