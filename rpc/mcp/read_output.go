package mcp

import (
	"context"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

type readOutputInput struct {
	SessionID string      `json:"session_id" rpc:"required,nonempty"`
	AfterSeq  int64       `json:"after_seq" min:"0"`
	Wait      rpc.Seconds `json:"wait"`
}

func readOutputTool() *sdk.Tool {
	return &sdk.Tool{
		Name:  "read_output",
		Title: "Read the output of a session",
		Description: `Returns the output of a session after the position "after_seq", and the exit status if it has ended. ` +
			`To continue, pass the last_seq of the previous result. Long output is shortened in the middle; the text says which read_output returns that part.`,
		Annotations: &sdk.ToolAnnotations{Title: "Read the output of a session", ReadOnlyHint: true, OpenWorldHint: no()},
		InputSchema: schema(`{
"type":"object",
"properties":{
"session_id":` + sessionIDSchema + `,
"after_seq":{"type":"integer","minimum":0,"default":0,"description":"Position in the output; 0 is its beginning."},
"wait":{"type":"number","minimum":0,"maximum":600,"default":0,"description":"Seconds to wait for output, if there is none yet."}
},
"required":["session_id"],
"additionalProperties":false}`),
		OutputSchema: sessionSchema(),
	}
}

func (s *Server) readOutput(ctx context.Context, _ *call, in *readOutputInput) (answer, error) {
	wait, err := waitOf("wait", in.Wait, 0)
	if err != nil {
		return answer{}, err
	}
	id, err := s.reach(ctx, in.SessionID)
	if err != nil {
		return answer{}, err
	}
	r, err := s.output(ctx, id, in.AfterSeq, wait)
	if err != nil {
		return answer{}, err
	}
	return r.answer(), nil
}

// waitOf returns the value of an argument, or the default if it is left out.
func waitOf(field string, s rpc.Seconds, byDefault time.Duration) (time.Duration, error) {
	switch {
	case !s.Set || s.Null:
		return byDefault, nil
	case s.D > MaxWait:
		return 0, &wire.FieldError{Field: field, Text: "must be at most 600 seconds; read_output waits for more"}
	}
	return s.D, nil
}
