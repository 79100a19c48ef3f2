//go:build linux

package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/openrpc"
)

// described is the part of an OpenRPC document that these tests use.
type described struct {
	Methods []struct {
		Name      string
		Direction string `json:"x-direction"`
		Examples  []documented
	}
}

// documented is an example of the document.
type documented struct {
	Name   string
	Params []struct {
		Name  string
		Value json.RawMessage
	}
	Result *struct{ Value json.RawMessage }
}

// params returns those of the example as one object.
func (d documented) params() object {
	o := object{}
	for _, p := range d.Params {
		o[p.Name] = p.Value
	}
	return o
}

// discover requests the document from a server.
func discover(t *testing.T) (d described) {
	t.Helper()
	serve(t).dial(t).ok("rpc.discover", object{}, &d)
	return d
}

func (d described) examples(method string) []documented {
	for _, m := range d.Methods {
		if m.Name == method {
			return m.Examples
		}
	}
	return nil
}

// make executes the sessions that an example names, with the examples of execute.
func (d described) make(p *peer, e documented) {
	p.t.Helper()
	for _, made := range d.examples("execute") {
		id := made.params()["session_id"].(json.RawMessage)
		if strings.Contains(text(e), string(id)) {
			p.good(p.call("execute", made.params()))
		}
	}
}

// TestDiscover: the result is the document of package openrpc, on one line.
func TestDiscover(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	for _, params := range []string{`{}`, `[]`, `null`, `[{}]`} {
		var want any
		if err := json.Unmarshal([]byte(openrpc.Document()), &want); err != nil {
			t.Fatal(err)
		}
		var got any
		p.ok("rpc.discover", params, &got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-document +answer):\n%s", diff)
		}
	}
	if e := p.fails(-32602, "rpc.discover", object{"version": 1}); e.Data["field"] != "version" {
		t.Errorf("%+v", e)
	}
	if m := p.call("rpc.discover", object{}); strings.Contains(m.text, "\n") {
		t.Error("the answer is on many lines")
	}
}

// TestDocumentedExamples: each example in the document has the result that the document shows.
func TestDocumentedExamples(t *testing.T) {
	d := discover(t)
	ran := 0
	for _, m := range d.Methods {
		if m.Direction != "client-to-server" {
			continue
		}
		for _, e := range m.Examples {
			ran++
			t.Run(m.Name+", "+e.Name, func(t *testing.T) {
				p := serve(t, func(set *settings) { set.Server.Auth, set.NoSpool = &callers{everyToken: access.User}, true }).dial(t)
				if m.Name != "execute" {
					d.make(p, e)
				}
				if e.Result == nil {
					p.send(`{"jsonrpc":"2.0","method":%q,"params":%s}`, m.Name, text(e.params()))
					p.ok("pong", object{}, nil)
					return
				}
				got := p.good(p.call(m.Name, e.params())).Result
				if diff := gocmp.Diff(steady(t, e.Result.Value), steady(t, got)); diff != "" {
					t.Errorf("(-document +server):\n%s", diff)
				}
			})
		}
	}
	if ran < 15 {
		t.Errorf("only %d examples", ran)
	}
}

// TestDocumentedNotifications: each notification is sent as its example shows.
func TestDocumentedNotifications(t *testing.T) {
	d := discover(t)
	s := serve(t, func(set *settings) { set.Server.Drain = 30 * time.Second })
	p, err := s.tryDial(t, dialing{path: "/ws"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d.examples("execute") {
		p.good(p.call("execute", with(e.params(), "stream", true)))
	}
	for _, e := range d.examples("control") {
		if text(e.params()["type"]) != `"SIGNAL"` { // it would be the end
			p.good(p.call("control", e.params()))
		}
	}
	s.server.Announce(false)
	for _, m := range d.Methods {
		// No command of the examples is certain to cause these.
		notCaused := []string{"process.gap", "process.exited", "process.queued", "process.failed", "process.spool", "process.screen"}
		if m.Direction != "server-to-client" || slices.Contains(notCaused, m.Name) {
			continue
		}
		for _, e := range m.Examples {
			want := steady(t, []byte(text(e.params()))).(object)
			got := p.next(m.Name, func(x *message) bool {
				return x.Method == m.Name && (m.Name == "connected" || m.Name == "server.shutdown" || x.session == want["session_id"])
			})
			if diff := gocmp.Diff(want, steady(t, got.Params).(object)); diff != "" {
				t.Errorf("%s (-document +server):\n%s", m.Name, diff)
			}
		}
	}
}

// steady replaces all that differs between runs and machines in JSON.
func steady(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return steadied(v)
}

func steadied(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = steadied(v[i])
		}
	case object:
		for name := range v {
			v[name] = steadyMember(v, name)
		}
	}
	return v
}

func steadyMember(o object, name string) any {
	switch n, number := o[name].(float64); name {
	case "pid", "pgid":
		if number && n > 0 {
			return "an id"
		}
	case "execution_time", "user_time", "system_time", "max_rss_bytes", "time":
		if number && n >= 0 || o[name] == nil {
			return "a measure"
		}
	case "waiting_for_input": // depends on how far the process is
		if o[name] == nil || o[name] == true {
			return "whether it waits"
		}
	case "started_at", "start":
		if _, err := time.Parse(time.RFC3339Nano, text(o[name])); err == nil {
			return "a time"
		}
	case "connection_id", "containment", "version", "capabilities":
		return "of the server"
	case "session_id":
		if o["connection_id"] != nil {
			return "of the server"
		}
	case "limits":
		for limit := range o[name].(object) {
			o[name].(object)[limit] = "a number"
		}
	}
	return steadied(o[name])
}
