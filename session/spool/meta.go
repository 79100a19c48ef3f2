package spool

import (
	"bytes"
	"encoding/json"

	"github.com/runnel-rpc/runnel/stream"
)

// startMeta is the JSON of a start in the journal.
type startMeta struct {
	Owner   string          `json:"owner"`
	ID      string          `json:"id"`
	Name    string          `json:"name,omitempty"`
	Params  []byte          `json:"params"`  // keyed hash
	Session json.RawMessage `json:"session"` // Start.Meta
}

// recordMeta is the JSON of a completion record in the journal.
type recordMeta struct {
	Ended     int64           `json:"ended"`  // in nanoseconds since 1970
	Oldest    stream.Mark     `json:"oldest"` // of what can be read from the disk
	End       stream.Mark     `json:"end"`
	InJournal bool            `json:"in_journal,omitempty"` // the output is the blob of this entry, else in a file
	Session   json.RawMessage `json:"session"`
}

// parseStart returns the JSON of a start.
func parseStart(meta []byte) (m startMeta, err error) {
	err = json.Unmarshal(meta, &m)
	return m, err
}

func parseRecord(meta []byte) (m recordMeta, err error) {
	err = json.Unmarshal(meta, &m)
	return m, err
}

// JSON is json.Marshal without escapes for HTML, which would make a command up to six times as long.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
