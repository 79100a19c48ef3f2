//go:build linux

package codex_test

import (
	"slices"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
)

// permitting makes a server permit only these methods.
func permitting(methods ...string) func(*settings) {
	return func(set *settings) {
		set.Server.Authorize = func(_ access.Identity, method string, _ any) error {
			if !slices.Contains(methods, method) {
				return rpc.Forbidden("methods", "method")
			}
			return nil
		}
	}
}

// TestTerminateThatIsNotPermitted checks that a terminate that the policy refuses is an error also while
// the process starts, and that the process runs on.
func TestTerminateThatIsNotPermitted(t *testing.T) {
	t.Parallel()
	c := serve(t, permitting(rpc.MethodExecute)).client()
	c.request("process/start", command("p", "sleep 0.2; echo done"))
	id := c.request("process/terminate", map[string]any{"processId": "p"})
	output, replies := "", 0
	for closed := false; !closed || replies < 2; {
		m := c.next()
		switch {
		case m.Method == "":
			replies++
			if refused := m.Error != nil && m.Error.Code == -32600; refused != (string(m.ID) == id) {
				t.Errorf("%s: %s %+v", m.ID, m.Result, m.Error)
			}
		case m.Method == "process/output":
			output += string(toEvent(t, m).Chunk)
		case m.Method == "process/closed":
			closed = true
		}
	}
	if output != "done\n" {
		t.Errorf("%q", output)
	}
}

// TestReadThatIsNotPermitted checks that a process/read needs the method read.
func TestReadThatIsNotPermitted(t *testing.T) {
	t.Parallel()
	c := serve(t, permitting(rpc.MethodExecute)).client()
	c.start("p", "true")
	c.ended("p")
	c.refused("process/read", map[string]any{"processId": "p"}, -32600)
	d := serve(t, permitting(rpc.MethodExecute, rpc.MethodRead)).client()
	d.start("p", "true")
	d.ended("p")
	d.readFrom("p", 0, nil)
}

// TestInfoOfARestrictedCaller checks that the directories of the server are not described to a caller who
// may not use them.
func TestInfoOfARestrictedCaller(t *testing.T) {
	t.Parallel()
	type info struct{ Cwd, UserHomeDir *string }
	var open, restricted info
	serve(t).client().mustCall("environment/info", struct{}{}, &open)
	if open.Cwd == nil || *open.Cwd == "file:///" || open.UserHomeDir == nil {
		t.Error("an unrestricted caller gets no directories")
	}
	serve(t, permitting()).client().mustCall("environment/info", struct{}{}, &restricted)
	if restricted.Cwd == nil || *restricted.Cwd != "file:///" || restricted.UserHomeDir != nil {
		t.Error("the directories of the server are described")
	}
}
