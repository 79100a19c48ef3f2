//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/policy"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID    = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + parentID + "-01"
)

// TestTraceEnvironment: a traceparent replaces that of the server and of env, and the tracestate of
// the server, which belongs to the replaced one.
func TestTraceEnvironment(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Server.Defaults.Environ = []string{"PATH=/usr/bin:/bin", "TRACEPARENT=server", "TRACESTATE=server", "BAGGAGE=server"}
	})
	p := s.dial(t)
	for name, c := range map[string]struct {
		params object
		want   string
	}{
		"none":              {object{}, "server server server"},
		"env":               {object{"env": object{"TRACEPARENT": "env", "TRACESTATE": nil}}, "env - server"},
		"traceparent":       {object{"traceparent": traceparent}, traceparent + " - server"},
		"both":              {object{"traceparent": traceparent, "env": object{"TRACEPARENT": "env"}}, traceparent + " - server"},
		"unset by env":      {object{"traceparent": traceparent, "env": object{"TRACEPARENT": nil}}, traceparent + " - server"},
		"tracestate by env": {object{"traceparent": traceparent, "env": object{"TRACESTATE": "env"}}, traceparent + " env server"},
	} {
		x := p.run(with(c.params, "command", `echo "${TRACEPARENT--} ${TRACESTATE--} $BAGGAGE"`))
		if got := strings.TrimSpace(x.stdout()); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestTraceOnTheLegacyPath: the param is known there too, and wrong values are errors.
func TestTraceOnTheLegacyPath(t *testing.T) {
	s := serve(t)
	p := s.dial(t, "/ws/mcp")
	if got := p.run(object{"command": "echo $TRACEPARENT", "traceparent": traceparent}).stdout(); got != traceparent+"\n" {
		t.Errorf("%q", got)
	}
	p.fails(rpc.CodeInvalidParams, "execute", object{"command": "true", "traceparent": "x"})
}

// TestTraceInTheAudit: the line of an execute, also of one that is refused, has the ids of a
// traceparent that is valid.
func TestTraceInTheAudit(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set)
	p := s.dial(t)
	p.run(object{"command": "true", "traceparent": traceparent})
	p.run(object{"command": "true"})
	p.fails(rpc.CodeInvalidParams, "execute", object{"command": "true", "traceparent": traceparent, "capture_bytes": 1 << 40})
	p.fails(rpc.CodeInvalidParams, "execute", object{"command": "true", "traceparent": strings.ToUpper(traceparent)})
	p.reset()
	s.shutdown(0)
	const ids = `"trace_id":"` + traceID + `","parent_id":"` + parentID + `"`
	for i, x := range of(a.lines(), "execute") {
		if has, want := strings.Contains(x.text, ids), i%2 == 0; has != want || !want && strings.Contains(x.text, "trace_id") {
			t.Errorf("line %d: %s", i, x.text)
		}
	}
}

// TestTraceUnderAPolicy: a traceparent that the policy refuses, or leaves out, is neither in the audit
// log nor in the log. The version 01 is not accepted.
func TestTraceUnderAPolicy(t *testing.T) {
	later := object{"command": "true", "traceparent": "01" + traceparent[2:]}
	for _, drop := range []bool{true, false} {
		text := fmt.Sprint("[default]\nshell = true\ndirectories = ['/']\ndirectory = '/'\nenvironment = {drop = ", drop, "}\n")
		p, err := policy.Parse("policy", []byte(text), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		guard, a := policy.NewGuard(p, nil), auditTo(t, audit.Options{})
		s := serve(t, a.set, func(set *settings) { set.Server.Restrict = guard.Restrict })
		c := s.dial(t)
		if drop {
			c.run(later)
		} else if e := c.fails(rpc.CodeForbidden, "execute", later); e.Data["field"] != "traceparent" {
			t.Errorf("refused because of %v", e.Data["field"])
		}
		c.run(object{"command": "true", "traceparent": traceparent})
		_ = c.ws.CloseNow()
		s.shutdown(0)
		lines := of(a.lines(), "execute")
		if strings.Contains(lines[0].text, "trace_id") || strings.Contains(lines[0].text, "parent_id") {
			t.Errorf("drop = %v: %s", drop, lines[0].text)
		}
		if !strings.Contains(lines[1].text, traceID) {
			t.Errorf("drop = %v: %s", drop, lines[1].text)
		}
	}
}
