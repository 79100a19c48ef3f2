package mcp

import (
	"bytes"
	"encoding/json"
)

// message is what the handler has to know of a message, whose syntax the SDK checks.
type message struct {
	Method string    `json:"method"`
	ID     messageID `json:"id"`
	Params struct {
		RequestID messageID `json:"requestId"`
	} `json:"params"`
}

// peek returns what is known of a message: nothing of one that is malformed, or of a batch.
func peek(text []byte) (m message) {
	if err := json.Unmarshal(text, &m); err != nil {
		return message{}
	}
	return m
}

// messageID is the JSON text of the id of a request, or "".
type messageID string

// UnmarshalJSON implements json.Unmarshaler.
func (id *messageID) UnmarshalJSON(text []byte) error {
	if text = bytes.TrimSpace(text); !bytes.Equal(text, []byte("null")) {
		*id = messageID(text)
	}
	return nil
}

// key returns the same for all texts of an id: a string may have escapes.
func (id messageID) key() string {
	var text string
	if json.Unmarshal([]byte(id), &text) == nil {
		return "s" + text
	}
	return "n" + string(id)
}
