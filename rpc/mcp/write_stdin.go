package mcp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

type writeStdinInput struct {
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	Data      string `json:"data" rpc:"required"`
	EOF       bool   `json:"eof"`
}

// writeStdinResult is the result of write_stdin.
type writeStdinResult struct {
	SessionID  string `json:"session_id" jsonschema:"The session."`
	StdinBytes int64  `json:"stdin_bytes" jsonschema:"How many bytes of stdin have been accepted in all."`
}

var writeStdinSchema = outputSchema[writeStdinResult]("session_id", "stdin_bytes")

func writeStdinTool() *sdk.Tool {
	return &sdk.Tool{
		Name:  "write_stdin",
		Title: "Write to the stdin of a session",
		Description: `Writes to the stdin of a session, and with "eof" closes it then. Programs that read lines need a \n at the end of "data". ` +
			`read_output with "wait" returns what the command answers.`,
		Annotations: &sdk.ToolAnnotations{Title: "Write to the stdin of a session", DestructiveHint: yes(), OpenWorldHint: yes()},
		InputSchema: schema(`{
"type":"object",
"properties":{
"session_id":` + sessionIDSchema + `,
"data":{"type":"string","description":"Text to write, at most 256 KiB."},
"eof":{"type":"boolean","default":false,"description":"Close stdin after the data."}
},
"required":["session_id","data"],
"additionalProperties":false}`),
		OutputSchema: writeStdinSchema(),
	}
}

func (s *Server) writeStdin(ctx context.Context, _ *call, in *writeStdinInput) (answer, error) {
	if len(in.Data) > MaxStdinBytes {
		return answer{}, &wire.FieldError{Field: "data", Text: fmt.Sprintf("must be at most %d bytes; write the rest with another call", MaxStdinBytes)}
	}
	id, err := s.reach(ctx, in.SessionID)
	if err != nil {
		return answer{}, err
	}
	data := base64.StdEncoding.EncodeToString([]byte(in.Data)) // so that no character takes six bytes
	within, cancel := context.WithTimeout(ctx, stdinTimeout)
	defer cancel()
	var r rpc.WriteResult
	err = s.caller.Call(within, rpc.MethodWrite, rpc.WriteParams{SessionID: id, Data: &data, Encoding: rpc.EncodingBase64, EOF: in.EOF}, &r)
	if errors.Is(err, context.DeadlineExceeded) {
		return answer{}, fmt.Errorf("nothing was written: the command does not read its stdin, and %s was not enough for the %d bytes", stdinTimeout, len(in.Data))
	}
	if err != nil {
		return answer{}, err
	}
	s.use(ctx, id)
	text := fmt.Sprintf("[%d bytes written", len(in.Data))
	if in.EOF {
		text += ", stdin closed"
	}
	return answer{text + "; read_output with wait returns what the command answers]", writeStdinResult{in.SessionID, r.StdinBytes}}, nil
}
