package server

import (
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
)

// TestWeight: the weight includes all parts of a command and its labels that may be large.
func TestWeight(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	for name, p := range map[string]rpc.ExecuteParams{
		"string":    {Command: rpc.Command{Shell: large}},
		"argument":  {Command: rpc.Command{Argv: []string{"true", large}}},
		"arguments": {Command: rpc.Command{Argv: make([]string, len(large)/16)}},
		"label":     {Command: rpc.Command{Shell: "true"}, Labels: map[string]string{"a": large}},
		"terminal":  {Command: rpc.Command{Shell: "true"}, PTY: &rpc.PTY{Rows: 1, Cols: 1, Term: large}},
		"name":      {Command: rpc.Command{Shell: "true"}, Labels: map[string]string{large: ""}},
	} {
		spec, err := (&Defaults{}).spec(access.User, &p)
		if n := int64(len(large)); err != nil || spec.Weight < n || spec.Weight > n+1000 {
			t.Errorf("%s: %d, %v", name, spec.Weight, err)
		}
	}
}

// TestAttributeThatCannotBeSet: the error names the field.
func TestAttributeThatCannotBeSet(t *testing.T) {
	e, ok := rpcError(&process.AttributeError{Attribute: process.NiceAttribute, Errno: syscall.EACCES}, "")
	data, _ := e.Data.(rpc.Data)
	if !ok || e.Code != rpc.CodeInvalidParams || data["field"] != "nice" || e.Message != "nice can't be set: permission denied" {
		t.Errorf("%+v, %v", e, ok)
	}
}
