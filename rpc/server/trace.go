package server

import (
	"maps"

	"github.com/runnel-rpc/runnel/rpc"
)

// traceparent returns the position of an execute in a trace, zero without one.
func traceparent(p *rpc.ExecuteParams) (rpc.Traceparent, *rpc.Error) {
	if p.Traceparent == "" {
		return rpc.Traceparent{}, nil
	}
	t, err := rpc.ParseTraceparent(p.Traceparent)
	if err != nil {
		return t, rpc.InvalidParams("traceparent", "traceparent %v", err)
	}
	return t, nil
}

// changes returns what an execute changes in the environment of the server: env, and what
// traceparent makes of it. A TRACESTATE of the server belongs to the server's own TRACEPARENT.
func changes(p *rpc.ExecuteParams) map[string]*string {
	if p.Traceparent == "" {
		return p.Env
	}
	all := make(map[string]*string, len(p.Env)+2)
	all[rpc.TracestateVariable] = nil
	maps.Copy(all, p.Env)
	all[rpc.TraceparentVariable] = &p.Traceparent
	return all
}
