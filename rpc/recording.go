package rpc

// RecordingParams are the params of recording.
type RecordingParams struct {
	// The session, by its id or its name. It must have a terminal.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	// The `next` of an earlier result: only entries after that page.
	After int64 `json:"after,omitempty" min:"0" default:"0"`
	// The most entries in the result; those of the same time are not separated. The default is as many
	// as fit into a message.
	Limit *int64 `json:"limit,omitempty" min:"1"`
}

// RecordingResult is the result of recording: when the output of a terminal was written, the sizes of the
// terminal, and recorded input. The output itself is that of read.
type RecordingResult struct {
	// When the command was started (RFC 3339, UTC): the times of the entries are relative to it.
	Start string `json:"start"`
	// The TERM of the command.
	Term string `json:"term"`
	// Up to so many seconds of output have the same time, that of the first of it.
	Interval float64 `json:"interval"`
	// The session was started with `record_input`, and the caller may see its input.
	Input bool `json:"input"`
	// There was more input than is kept: none is recorded after the last entry with input.
	InputTruncated bool `json:"input_truncated,omitempty"`
	// The entries, in the order of their times.
	Entries []RecordingEntry `json:"entries"`
	// Present if there are more entries now: the `after` that returns them.
	Next int64 `json:"next,omitempty"`
}

// The types of the entries of a recording.
const (
	RecordedOutput = "output"
	RecordedResize = "resize"
	RecordedInput  = "input"
)

// RecordingEntry is an entry of a recording.
type RecordingEntry struct {
	// `output`: output after the position was written at this time; `resize`: the terminal got this
	// size; `input`: this was written to the terminal.
	Type string `json:"type" enum:"output,resize,input"`
	// In seconds since the start.
	Time float64 `json:"time"`
	// The end of the log at this time.
	Seq int64 `json:"seq"`
	// With `resize`: the height in characters.
	Rows int `json:"rows,omitempty"`
	// With `resize`: the width in characters.
	Cols int `json:"cols,omitempty"`
	// With `input`: the input. It may end within a character, which the next entry continues.
	Data string `json:"data,omitempty"`
	// With `input`: `base64` if the bytes are not UTF-8.
	Encoding string `json:"encoding,omitempty" enum:"base64"`
}
