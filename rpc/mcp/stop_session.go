package mcp

import (
	"context"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
)

type stopSessionInput struct {
	SessionID string `json:"session_id" rpc:"required,nonempty"`
}

func stopSessionTool() *sdk.Tool {
	return &sdk.Tool{
		Name:  "stop_session",
		Title: "End a session",
		Description: `Ends a session and all its processes: first with SIGTERM, and those that are left with SIGKILL. ` +
			`Returns when they have ended, with the beginning and the end of the output. A session that has ended already is not changed.`,
		Annotations: &sdk.ToolAnnotations{Title: "End a session", DestructiveHint: yes(), IdempotentHint: true, OpenWorldHint: no()},
		InputSchema: schema(`{
"type":"object",
"properties":{
"session_id":` + sessionIDSchema + `
},
"required":["session_id"],
"additionalProperties":false}`),
		OutputSchema: sessionSchema(),
	}
}

func (s *Server) stopSession(ctx context.Context, _ *call, in *stopSessionInput) (answer, error) {
	id, err := s.reach(ctx, in.SessionID)
	if err != nil {
		return answer{}, err
	}
	within, cancel := context.WithTimeout(ctx, callMargin)
	defer cancel()
	var stopped rpc.CancelResult
	if err := s.caller.Call(within, rpc.MethodCancel, rpc.CancelParams{SessionID: id}, &stopped); err != nil {
		return answer{}, err
	}
	r, err := s.output(ctx, stopped.SessionID, 0, 0)
	if err != nil {
		return answer{}, err
	}
	return r.answer(), nil
}
