//go:build linux

package server_test

import (
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestStopSignal: the first signal of every end is stop_signal, or that of the cancel.
func TestStopSignal(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	const traps = `trap 'echo term; exit 15' TERM; trap 'echo quit; exit 3' QUIT; trap 'echo rt; exit 35' 35; `
	const loop = `while :; do :; done` // a read could begin just after its trap was to run
	for name, c := range map[string]struct {
		params, cancel object // cancel nil: it ends by itself
		reason         string
		code           int
		signal         string
		escalated      bool
	}{
		"default":                  {object{}, object{}, "canceled", 15, "", false},
		"of the session":           {object{"stop_signal": "QUIT"}, object{}, "canceled", 3, "", false},
		"of the cancel":            {object{"stop_signal": "QUIT"}, object{"signal": "SIGRTMIN+1"}, "canceled", 35, "", false},
		"at a deadline":            {object{"stop_signal": "SIGQUIT", "timeout": 0.5}, nil, "timeout", 3, "", false},
		"at a silence":             {object{"stop_signal": "SIG35", "stream_timeout": 0.5}, nil, "stream_timeout", 35, "", false},
		"SIGKILL of the session":   {object{"stop_signal": "KILL"}, object{}, "canceled", -1, "SIGKILL", true},
		"SIGKILL of the cancel":    {object{}, object{"signal": "SIGKILL"}, "canceled", -1, "SIGKILL", true},
		"no grace, and so none":    {object{"stop_signal": "QUIT", "grace": 0}, object{}, "canceled", -1, "SIGKILL", true},
		"which is ignored, by all": {object{"stop_signal": "WINCH", "grace": 0.1}, object{}, "canceled", -1, "SIGKILL", true},
	} {
		t.Run(name, func(t *testing.T) {
			params := object{"command": traps + "echo ready; " + loop, "grace": testTimeout.Seconds()}
			for k, v := range c.params {
				params[k] = v
			}
			id := p.started(params)
			if c.cancel != nil {
				var r rpc.CancelResult
				p.ok("cancel", with(c.cancel, "session_id", id), &r)
			}
			rec := p.completed(id)
			if rec.Reason != c.reason || rec.Escalated != c.escalated || deref(rec.Signal) != c.signal ||
				c.code >= 0 && (rec.ExitCode == nil || *rec.ExitCode != c.code) {
				t.Errorf("%+v", rec)
			}
		})
	}
	t.Run("of what outlives the command", func(t *testing.T) {
		x := p.run(object{
			"command":     `(` + traps + `echo ready; ` + loop + `) & sleep 0.1; exit 5`,
			"stop_signal": "RTMIN+1",
			"grace":       testTimeout.Seconds(),
		})
		if !strings.HasSuffix(x.stdout(), "ready\nrt\n") || x.record.Reason != "exited" || x.record.Escalated {
			t.Errorf("%q, %+v", x.stdout(), x.record)
		}
	})
	t.Run("of a cancel after a cancel", func(t *testing.T) {
		id := p.started(object{"command": `trap '' TERM; trap 'exit 7' USR1; echo ready; ` + loop, "grace": testTimeout.Seconds()})
		p.send(`{"jsonrpc":"2.0","method":"cancel","params":{"session_id":%q}}`, id)
		p.event("process.canceled", id)
		p.ok("cancel", object{"session_id": id, "signal": "USR1"}, nil)
		if rec := p.completed(id); rec.ExitCode == nil || *rec.ExitCode != 7 || rec.Escalated {
			t.Errorf("%+v", rec)
		}
	})
}

// TestLeaderAndTree: SIGNAL to the leader reaches only the command. If the command has exited
// and others keep the session running, an event and the status say so.
func TestLeaderAndTree(t *testing.T) {
	s := serve(t)
	p, other := s.dial(t), s.dial(t)
	const loop = `while :; do :; done` // a read could begin just after its trap was to run
	id := p.started(object{
		"command":        `trap 'echo leader >&2' USR1; (trap 'echo member' USR1; trap 'exit 0' USR2; echo ready; ` + loop + `) & ` + loop,
		"on_leader_exit": "wait", "on_disconnect": "keep",
	})
	from := func(p *peer, stream string) *message {
		return p.next(stream, func(m *message) bool {
			return m.Method == "process.output" && m.session == id && strings.Contains(m.text, `"type":"`+stream+`"`)
		})
	}
	p.ok("control", object{"type": "SIGNAL", "signal": "USR1", "to": "leader"}, nil)
	from(p, "stderr")
	p.ok("control", object{"type": "SIGNAL", "signal": "USR1", "to": "tree"}, nil)
	if m := from(p, "stdout"); strings.Count(m.text, "member") != 1 {
		t.Errorf("the first signal reached a member too: %s", m.text)
	}
	var before, after rpc.SessionStatus
	p.ok("status", object{"session_id": id}, &before)
	p.ok("control", object{"type": "SIGNAL", "signal": "SIGKILL", "to": "leader"}, nil)
	var exited rpc.Exited
	p.decode(p.event("process.exited", id).Params, &exited)
	if deref(exited.Signal) != "SIGKILL" || exited.ExitCode != nil {
		t.Errorf("%+v", exited)
	}
	p.ok("status", object{"session_id": id}, &after)
	if before.Exited != nil || after.Exited == nil || deref(after.Exited.Signal) != "SIGKILL" || after.State != "running" {
		t.Errorf("%+v, and then %+v", before.Exited, after.Exited)
	}
	if e := p.fails(-32005, "control", object{"type": "SIGNAL", "signal": "USR1", "to": "leader"}); e.Data["kind"] != "command_exited" {
		t.Errorf("%+v", e)
	}
	var a rpc.AttachResult
	other.ok("attach", object{"session_id": id, "after_seq": exited.Seq}, &a) // again, for a connection that may have missed it
	if a.LastSeq != exited.Seq {
		t.Errorf("the event is at %d, and the log ends at %d", exited.Seq, a.LastSeq)
	}
	other.event("process.exited", id)
	var r rpc.ReadResult
	p.ok("read", object{"session_id": id, "after_seq": exited.Seq, "timeout": 0}, &r)
	if len(r.Events) > 0 {
		t.Errorf("a read after the record returns %s", r.Events)
	}
	p.ok("control", object{"type": "SIGNAL", "signal": "USR2"}, nil)
	if rec := p.completed(id); rec.Reason != "signaled" || rec.Seq != exited.Seq+1 {
		t.Errorf("%+v", rec)
	}
}
