package mcp

import (
	"fmt"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
)

// sessionResult is a session with a part of its output: the result of run_command, read_output and
// stop_session. Once the session has ended, it has the members of the completion record too. The text
// is in it, although the result also has it as content, because some hosts give the model only one of
// the two.
type sessionResult struct {
	SessionID       string `json:"session_id" jsonschema:"The session."`
	State           string `json:"state" jsonschema:"queued, starting, running, paused, ending or ended."`
	LastSeq         int64  `json:"last_seq" jsonschema:"The position after the text: the after_seq of the next read_output."`
	Text            string `json:"text" jsonschema:"The output; stdout and stderr in the order in which they were written. Control characters are escaped, as in \\x1b, and colors removed."`
	OmittedBytes    int64  `json:"omitted_bytes,omitempty" jsonschema:"How many bytes of output were left out of the text, which says where."`
	LostBytes       int64  `json:"lost_bytes,omitempty" jsonschema:"How many bytes of output are not kept any more."`
	WaitingForInput bool   `json:"waiting_for_input,omitempty" jsonschema:"A process of the session waits for input: write_stdin."`
	StartError      string `json:"start_error,omitempty" jsonschema:"Why the session, which was queued, was not started."`
	*rpc.Completion
}

var sessionSchema = outputSchema[sessionResult]("session_id", "state", "last_seq", "text")

const stateEnded = "ended"

// set sets the text, what is missing in it, and the position after it.
func (r *sessionResult) set(e *excerpt) {
	r.Text, r.OmittedBytes, r.LostBytes = e.text(), e.omitted, e.lost
	r.LastSeq = e.last
}

// answer returns the result of a tool: the text, and what the session does in a last line in brackets.
// The output can have lines like it, so nothing of the output may follow it.
func (r *sessionResult) answer() answer {
	text := r.Text
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return answer{text + "[" + r.summary() + "]", r}
}

func (r *sessionResult) summary() string {
	switch {
	case r.StartError != "":
		return "not started: " + r.StartError
	case r.Completion != nil:
		return r.ending()
	case r.State == stateEnded:
		return "ended; what follows is returned by " + r.readOn()
	}
	text := fmt.Sprintf("%s: session %s, last_seq %d", r.State, r.SessionID, r.LastSeq)
	if r.WaitingForInput {
		text += "; it waits for input: write_stdin answers, and closes stdin with eof; stop_session ends it"
	} else {
		text += "; " + r.readOn() + " waits for more, stop_session ends it"
	}
	return text
}

func (r *sessionResult) readOn() string {
	return fmt.Sprintf("read_output with after_seq %d", r.LastSeq)
}

// ending says how the session ended.
func (r *sessionResult) ending() string {
	c, text := r.Completion, ""
	switch {
	case c.ExitCode != nil:
		text = fmt.Sprintf("exit code %d", *c.ExitCode)
	case c.Signal != nil:
		text = "ended by " + *c.Signal
	default:
		text = "ended, exit status unknown"
	}
	switch {
	case c.Reason == rpc.ReasonLimit && c.Limit != "":
		text += ", because of the limit " + c.Limit
	case c.Reason != rpc.ReasonExited && c.Reason != rpc.ReasonSignaled:
		text += ", reason " + c.Reason
	}
	text += fmt.Sprintf(", after %.3g s", c.ExecutionTime)
	if len(c.Survivors) > 0 {
		text += fmt.Sprintf("; these processes could not be ended: %v", c.Survivors)
	} else if !c.SurvivorsVerified {
		text += "; processes may be left, which could not be verified"
	}
	if r.LastSeq < c.Seq {
		text += "; more output follows: " + r.readOn()
	}
	return text
}
