//go:build linux

package server_test

import (
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestSince: attach and read begin with the output of the last seconds, and with after_seq if that is later.
func TestSince(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.started(object{"command": "echo ready; read x; echo $x; read y", "stdin": "pipe"})
	time.Sleep(300 * time.Millisecond) // more than the distance of two positions whose times are known
	between := time.Now()
	time.Sleep(300 * time.Millisecond) // more than a request takes, else it is repeated
	p.ok("write", object{"session_id": id, "data": "new\n"}, nil)
	p.event("process.output", id)
	sinceBetween := func(f func(since float64)) {
		for begin := time.Now(); ; begin = time.Now() {
			if f(begin.Sub(between).Seconds()); time.Since(begin) < 250*time.Millisecond {
				return
			}
		}
	}

	texts := func(r *rpc.ReadResult) (list []string) {
		for _, e := range r.Events {
			var o rpc.Output
			if p.decode(e.Params, &o); e.Method == "process.output" {
				list = append(list, o.Data)
			}
		}
		return list
	}
	for _, c := range []struct {
		what   string
		params object
		want   string
	}{
		{"all", object{"since": 1000}, "ready\nnew\n"},
		{"null", object{"since": nil}, "ready\nnew\n"},
		{"the newest", object{"since": "between"}, "new\n"},
		{"nothing", object{"since": 0}, ""},
		{"after_seq", object{"since": 1000, "after_seq": 8}, "ew\n"},
		{"an earlier after_seq", object{"since": "between", "after_seq": 2}, "new\n"},
	} {
		var r rpc.ReadResult
		sinceBetween(func(since float64) {
			params := with(c.params, "session_id", id, "timeout", 0)
			if params["since"] == "between" {
				params["since"] = since
			}
			r = rpc.ReadResult{}
			p.ok("read", params, &r)
		})
		got := ""
		for _, text := range texts(&r) {
			got += text
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	q := s.dial(t)
	sinceBetween(func(since float64) { q.ok("attach", object{"session_id": id, "since": since}, nil) })
	var o rpc.Output
	if q.decode(q.event("process.output", id).Params, &o); o.Data != "new\n" {
		t.Errorf("attach: %q", o.Data)
	}
	p.fails(-32602, "read", object{"session_id": id, "since": -1})
	p.ok("cancel", object{"session_id": id}, nil)
}
