package main

import (
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestStartErrorStatus: 126 and 127 are about the program; everything else is 125.
func TestStartErrorStatus(t *testing.T) {
	for _, c := range []struct {
		err  *rpc.Error
		want int
	}{
		{rpc.SpawnFailed("none", "ENOENT", ""), exitNotFound},
		{rpc.SpawnFailed("/etc/passwd", "EACCES", ""), exitNotExecutable},
		{rpc.SpawnFailed("/work", "ENOENT", ""), exitRunnelFailed}, // the working directory
		{rpc.SpawnFailed("true", "EMFILE", ""), exitRunnelFailed},
		{rpc.SandboxFailed("making the namespaces", "", "failed"), exitRunnelFailed},
		{rpc.SandboxFailed("making the namespaces", "ENOENT", "failed"), exitRunnelFailed},
		{rpc.InvalidParams("sandbox", ""), exitRunnelFailed},
	} {
		err, _ := startError(c.err, &rpc.ExecuteParams{Cwd: "/work"}).(*statusError)
		if err == nil || err.status != c.want {
			t.Errorf("%v: %v, want %d", c.err, err, c.want)
		}
	}
}
