package server

import (
	"strings"
	"testing"
)

// TestMethodTable: names are unique, each method has a summary and a handler, and the capabilities
// are those of the protocol.
func TestMethodTable(t *testing.T) {
	if len(methodByName) != len(methods) {
		t.Errorf("%d methods have %d names", len(methods), len(methodByName))
	}
	for _, m := range methods {
		if m.Summary == "" || m.handle == nil {
			t.Errorf("%s: %+v", m.Name, m)
		}
	}
	want := "execute control cancel write wait read recording attach forget status list authenticate rpc.discover batch lines raw slow_client window keep stdin pty base64 " +
		"list:pages merge_stderr capture_head wait_timeout waiting_for_input stop_signal signal:to exited survivors_verified traceparent queue name since screen writer"
	if got := strings.Join(capabilities, " "); got != want {
		t.Errorf("capabilities %s, want %s", got, want)
	}
}
