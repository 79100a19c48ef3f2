//go:build linux

package server_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// TestSpoolUnavailable: while the disk does not respond, a request for a session that only it has is
// refused, and the list says that it is incomplete.
func TestSpoolUnavailable(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	kept := p.run(object{"command": "echo kept", "session_id": uuid.NewString(), "name": "kept"})
	s.idle()
	s.shutdown(0)

	faults := disk.NewFaults(disk.OS{})
	t.Cleanup(faults.Heal)
	s = serve(t, inSpool(dir), func(set *settings) {
		set.Spool = &spool.Options{WindowBytes: 4 << 20, Files: faults}
	})
	p = s.dial(t)
	present := p.run(object{"command": "echo present", "session_id": uuid.NewString()})
	faults.Hang(disk.Read)
	for method, id := range map[string]string{"status": kept.id, "attach": "kept"} { // each takes a second
		m := p.call(method, object{"session_id": id})
		if m.Error == nil || m.Error.Code != -32010 || m.Error.Data["kind"] != "spool_unavailable" || m.Error.Data["retry_after"] == nil {
			t.Errorf("%s of %s: %s", method, id, m.text)
		}
	}
	list := func(params object) (r rpc.ListResult) {
		t.Helper()
		p.ok("list", params, &r)
		return r
	}
	if r := list(object{"state": "running"}); r.Incomplete || len(r.Sessions) > 0 { // none of those on the disk runs
		t.Errorf("%+v", r)
	}
	if r := list(object{}); !r.Incomplete || len(r.Sessions) != 1 || r.Sessions[0].SessionID != present.id {
		t.Errorf("%+v", r)
	}
	faults.Heal()
	if r := list(object{}); r.Incomplete || len(r.Sessions) != 2 {
		t.Errorf("%+v", r)
	}
	sameEvents(t, p.replayed(kept.id), kept)
}

// TestNotSpooled: the output of a session with spool false is not on the disk; its record is.
func TestNotSpooled(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	const secret = "0123-not-on-the-disk-4567"
	params := object{"command": "printf '%s-%s-' 0123 not-on; echo the-disk-4567; seq 300000; exit 3", "session_id": uuid.NewString(), "spool": false}
	before := p.run(params)
	var st rpc.SessionStatus
	if p.ok("status", object{"session_id": before.id}, &st); st.Spool != nil || !strings.Contains(before.stdout(), secret) {
		t.Errorf("%+v", st)
	}
	p.fails(-32602, "attach", object{"session_id": before.id, "slow_client": "spool"})
	s.idle()
	s.shutdown(0)
	for _, text := range []string{secret, "299999\n"} {
		if found := grepped(t, dir, text); found != nil {
			t.Errorf("%q is in %v", text, found)
		}
	}

	s = serve(t, inSpool(dir))
	p = s.dial(t)
	after := p.replayed(before.id)
	if got, want := text(after.record), text(before.record); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if len(after.outputs) > 0 || len(after.gaps) != 1 {
		t.Errorf("%d outputs, gaps %+v", len(after.outputs), after.gaps)
	}
	var r rpc.ExecuteResult
	if p.ok("execute", params, &r); r.Created {
		t.Error("the command runs again")
	}
}
