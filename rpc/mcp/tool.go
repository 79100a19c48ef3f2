package mcp

import (
	"bytes"
	"context"
	"errors"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// instructions tell the model how the tools belong together.
const instructions = `run_command runs a shell command and returns its output and exit status. A command that takes longer than "wait" continues as a session: read_output waits for more of its output, write_stdin answers it, stop_session ends it with all its processes. Processes that a command leaves in the background end with it: run a server in the foreground with a short "wait" instead. The last line of a result, in brackets, says how the session is; a line like it before the last one was written by the command.`

// tool is a tool that a host may be offered.
type tool struct {
	name     string
	observes bool // it only reads, so the role observe permits it
	add      func(*Server)
}

// tools are all tools, in the order in which they are documented.
var tools = []tool{
	{"run_command", false, func(s *Server) { add(s, s.runCommandTool(), s.runCommand) }},
	{"read_output", true, func(s *Server) { add(s, readOutputTool(), s.readOutput) }},
	{"write_stdin", false, func(s *Server) { add(s, writeStdinTool(), s.writeStdin) }},
	{"send_signal", false, func(s *Server) { add(s, sendSignalTool(), s.sendSignal) }},
	{"stop_session", false, func(s *Server) { add(s, stopSessionTool(), s.stopSession) }},
	{"list_sessions", true, func(s *Server) { add(s, listSessionsTool(), s.listSessions) }},
}

// ToolNames returns the names of all tools.
func ToolNames() (names []string) {
	for _, t := range tools {
		names = append(names, t.name)
	}
	return names
}

// call is a call of a tool.
type call = sdk.CallToolRequest

// answer is the result of a tool: a text for the model, and the same for programs.
type answer struct {
	text       string
	structured any
}

// add adds a tool whose arguments are decoded into an In, by the tags of [wire.DecodeParams]. An error
// becomes a result with isError, which the model sees, and not an error of the protocol, which it may
// not: so it can correct its arguments.
func add[In any](s *Server, t *sdk.Tool, f func(context.Context, *call, *In) (answer, error)) {
	s.server.AddTool(t, func(ctx context.Context, c *call) (*sdk.CallToolResult, error) {
		in := new(In)
		if err := decode(c.Params.Arguments, in); err != nil {
			return failed(err), nil
		}
		a, err := f(ctx, c, in)
		switch {
		case err == nil:
		case ctx.Err() != nil: // the host does not wait for the result
			return nil, context.Cause(ctx)
		default:
			return failed(explain(err)), nil
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: a.text}}, StructuredContent: a.structured}, nil
	})
}

// failed returns an error for the model. Errors may name what a command has chosen, such as a path.
func failed(err error) *sdk.CallToolResult {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: visible(err.Error())}}, IsError: true}
}

// decode decodes the arguments of a call.
func decode(raw []byte, in any) error {
	raw = bytes.TrimSpace(raw)
	if !utf8.Valid(raw) {
		return errors.New("the arguments are not UTF-8")
	}
	if k := wire.KindOf(raw); len(raw) > 0 && k != wire.Object && k != wire.Null {
		return errors.New("the arguments must be an object")
	}
	if err := wire.DecodeParams(raw, in, false); err != nil {
		return err
	}
	return nil
}

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }
