package main

import (
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
)

// traceFlags are the flags of run for the trace of the caller.
type traceFlags struct {
	Traceparent string `help:"Where this command is in a trace (W3C Trace Context), which it gets as TRACEPARENT. Default: TRACEPARENT of its environment." placeholder:"TRACEPARENT"`
}

// check returns an error if the flag is not a traceparent.
func (f *traceFlags) check() error {
	if f.Traceparent == "" {
		return nil
	}
	if _, err := rpc.ParseTraceparent(f.Traceparent); err != nil {
		return fmt.Errorf("--traceparent %w", err)
	}
	return nil
}

// addTo adds the traceparent to the params: that of the flag, or else of the environment that the
// command gets. There a value that is no traceparent is left to the command, as without a server. If
// the server does not know the param, or is in this process, where it has no log, the variable is set
// instead.
func (f *traceFlags) addTo(p *rpc.ExecuteParams, known bool) {
	own := f.Traceparent
	if inherited := p.Env[rpc.TraceparentVariable]; own == "" && inherited != nil {
		if _, err := rpc.ParseTraceparent(*inherited); err == nil {
			own = *inherited
		}
	}
	switch {
	case own == "":
	case known:
		p.Traceparent = own
	default:
		p.Env[rpc.TraceparentVariable] = &own
	}
}
