package mcp

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
)

// panicking is a Caller whose calls panic.
type panicking struct{}

func (panicking) Call(context.Context, string, any, any) error           { panic("a bug") }
func (panicking) CallIdempotent(context.Context, string, any, any) error { panic("a bug") }
func (panicking) Connected() rpc.Connected                               { return rpc.Connected{Capabilities: required} }

// TestPanicOfATool: it is logged, the host gets an error without the details, and the next call works.
func TestPanicOfATool(t *testing.T) {
	var log bytes.Buffer
	s, err := New(panicking{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.left()
	near, far := sdk.NewInMemoryTransports()
	if _, err := s.server.Connect(t.Context(), far, nil); err != nil {
		t.Fatal(err)
	}
	host, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	_, err = host.CallTool(t.Context(), &sdk.CallToolParams{Name: "list_sessions", Arguments: map[string]any{}})
	if err == nil || !strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "bug") {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "listSessions") {
		t.Errorf("the log is %q", log.String())
	}
	if list, err := host.ListTools(t.Context(), nil); err != nil || len(list.Tools) != len(tools) {
		t.Errorf("after it: %v, %v", list, err)
	}
}
