package main

import (
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestTraceparentOfAnOlderServer: a server that does not know the param gets the variable.
func TestTraceparentOfAnOlderServer(t *testing.T) {
	const flag = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	own := "00-11111111111111111111111111111111-2222222222222222-00"
	for _, known := range []bool{false, true} {
		p := rpc.ExecuteParams{Env: rpc.Env{rpc.TraceparentVariable: &own}}
		(&traceFlags{flag}).addTo(&p, known)
		if got := *p.Env[rpc.TraceparentVariable]; (p.Traceparent == flag) != known || (got == flag) == known {
			t.Errorf("known %v: param %q, variable %q", known, p.Traceparent, got)
		}
	}
}
