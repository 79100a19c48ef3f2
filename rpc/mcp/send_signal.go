package mcp

import (
	"context"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
)

type sendSignalInput struct {
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	Signal    string `json:"signal" rpc:"required,nonempty"`
}

// sendSignalResult is the result of send_signal.
type sendSignalResult struct {
	SessionID   string `json:"session_id" jsonschema:"The session."`
	Status      string `json:"status" jsonschema:"signaled."`
	NotSignaled []int  `json:"not_signaled,omitempty" jsonschema:"Ids of processes that were not signaled, because they have another user."`
}

var sendSignalSchema = outputSchema[sendSignalResult]("session_id", "status")

func sendSignalTool() *sdk.Tool {
	return &sdk.Tool{
		Name:        "send_signal",
		Title:       "Send a signal to a session",
		Description: `Sends a signal to all processes of a session: SIGINT is Ctrl-C. To end a session for certain, use stop_session.`,
		Annotations: &sdk.ToolAnnotations{Title: "Send a signal to a session", DestructiveHint: yes(), OpenWorldHint: no()},
		InputSchema: schema(`{
"type":"object",
"properties":{
"session_id":` + sessionIDSchema + `,
"signal":{"type":"string","description":"Name of the signal, as in SIGINT, SIGHUP or SIGUSR1."}
},
"required":["session_id","signal"],
"additionalProperties":false}`),
		OutputSchema: sendSignalSchema(),
	}
}

func (s *Server) sendSignal(ctx context.Context, _ *call, in *sendSignalInput) (answer, error) {
	id, err := s.reach(ctx, in.SessionID)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callMargin)
	defer cancel()
	var r rpc.ControlResult
	err = s.caller.Call(ctx, rpc.MethodControl, rpc.ControlParams{SessionID: id, Type: rpc.ControlSignal, Signal: in.Signal}, &r)
	if err != nil {
		return answer{}, err
	}
	s.use(ctx, id)
	text := fmt.Sprintf("[%s sent to the processes of the session", in.Signal)
	if len(r.NotSignaled) > 0 {
		text += fmt.Sprintf(", except these of other users: %v", r.NotSignaled)
	}
	return answer{text + "; read_output returns what follows]", sendSignalResult{r.SessionID, r.Status, r.NotSignaled}}, nil
}
