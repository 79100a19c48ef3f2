//go:build linux

package server_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session/spool"
)

// inSpool makes a service use the spool in a directory.
func inSpool(dir string) func(*settings) {
	return func(set *settings) {
		set.Spool, set.SpoolDir, set.NoSpool = &spool.Options{WindowBytes: 4 << 20}, dir, false
	}
}

// crashed returns a copy of the spool of a service that runs, as a crash would leave it.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "spool")
	if out, err := exec.Command("cp", "-a", "--sparse=always", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// grepped returns the files of a directory that contain a text.
func grepped(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// replayed attaches to a session that has ended, and returns its events.
func (p *peer) replayed(id string) *transcript {
	p.t.Helper()
	x := &transcript{id: id}
	p.ok("attach", object{"session_id": id}, nil)
	p.follow(x)
	return x
}

// diskBytes is what files take of the disk, which is not exact while they are written.
var diskBytes = regexp.MustCompile(`"bytes":[0-9]+,`)

// sameEvents compares what two connections got of a session.
func sameEvents(t *testing.T, got, want *transcript) {
	t.Helper()
	if !reflect.DeepEqual(got.data, want.data) || len(got.gaps) > 0 {
		t.Errorf("other output: %v, not %v, gaps %v", got.bytes, want.bytes, got.gaps)
	}
	if a, b := text(got.record), text(want.record); a != b {
		t.Errorf("another record:\n%s\n%s", a, b)
	}
	flags := func(x *transcript) (truncated int, dropped int64) {
		for _, o := range x.outputs {
			if o.Truncated {
				truncated++
			}
			dropped += o.DroppedBytes
		}
		return truncated, dropped
	}
	gotTruncated, gotDropped := flags(got)
	if truncated, dropped := flags(want); gotTruncated != truncated || gotDropped != dropped {
		t.Errorf("%d lines truncated, %d bytes dropped, not %d, %d", gotTruncated, gotDropped, truncated, dropped)
	}
	if strings.Join(got.order, " ") != strings.Join(want.order, " ") {
		t.Errorf("%.200v, not %.200v", got.order, want.order)
	}
}

// TestRestart: the next server answers for the sessions of the one before as that did.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	commands := map[string]object{
		"quiet":     {"command": "true"},
		"failed":    {"command": "echo failed >&2; exit 3", "name": "build", "labels": object{"a": "b"}},
		"killed":    {"command": "kill -9 $$"},
		"large":     {"command": "seq 300000"},
		"both":      {"command": "for i in $(seq 300); do echo out $i; echo err $i >&2; done", "capture_head_bytes": 50},
		"terminal":  {"command": "printf 'a\\nb\\n'; tty", "pty": object{"rows": 24, "cols": 80}},
		"raw":       {"command": "printf 'a\\377\\000b\\nc'", "mode": "raw", "encoding": "base64"},
		"auto":      {"command": "printf 'a\\377\\n'; sleep 0.1; echo text", "encoding": "auto"},
		"merged":    {"command": "echo out; echo err >&2", "merge_stderr": true},
		"truncated": {"command": "echo 0123456789abcdefghij; echo 0123456789abcdefghij; echo end", "max_line_bytes": 10},
		"exited":    {"command": "sleep 0.3 & echo out; exit 5", "on_leader_exit": "wait"},
		"input":     {"command": "cat >/dev/null", "env": object{"SECRET": "a-secret-value"}, "stdin": "pipe"},
	}
	before := map[string]*transcript{}
	answers := map[string]map[string]string{}
	asked := func(p *peer, id string) map[string]string {
		return map[string]string{
			"status": diskBytes.ReplaceAllString(string(p.good(p.call("status", object{"session_id": id})).Result), ""),
			"wait":   string(p.good(p.call("wait", object{"session_id": id, "capture_bytes": 100})).Result),
		}
	}
	for name, params := range commands {
		params["session_id"], params["on_disconnect"] = uuid.NewString(), "keep"
		if name != "input" {
			before[name] = p.run(params)
			continue
		}
		x := &transcript{id: params["session_id"].(string)}
		p.good(p.call("execute", params))
		p.ok("write", object{"session_id": x.id, "data": "a-secret-line\n", "eof": true}, nil)
		p.follow(x)
		before[name] = x
	}
	events := object{"command": "sleep 0.3 & echo out; exit 5", "on_leader_exit": "wait", "session_id": uuid.NewString(), "on_disconnect": "keep", "stream": false}
	p.good(p.call("execute", events))
	waited := object{"command": "seq 100000", "wait": true, "capture_bytes": 10, "session_id": uuid.NewString()}
	answer := string(p.good(p.call("execute", waited)).Result)
	s.idle()
	for name, x := range before {
		answers[name] = asked(p, x.id)
	}
	s.shutdown(0)
	for _, secret := range []string{"a-secret-value", "a-secret-line"} {
		if found := grepped(t, dir, secret); found != nil {
			t.Errorf("%s is in %v", secret, found)
		}
	}

	s = serve(t, inSpool(dir))
	p = s.dial(t)
	for name, x := range before {
		t.Run(name, func(t *testing.T) {
			q := s.dial(t)
			sameEvents(t, q.replayed(x.id), x)
			for what, answer := range asked(q, x.id) {
				if want := answers[name][what]; answer != want {
					t.Errorf("%s:\n%s, not\n%s", what, answer, want)
				}
			}
			var r rpc.ExecuteResult
			if q.ok("execute", commands[name], &r); r.Created {
				t.Errorf("%+v", r)
			}
			again := &transcript{id: x.id}
			q.follow(again)
			sameEvents(t, again, x)
			q.fails(-32007, "execute", with(commands[name], "env", object{"SECRET": "another"}))
			q.fails(-32005, "control", object{"session_id": x.id, "type": "PAUSE"})
			q.ok("cancel", object{"session_id": x.id}, nil)
			if m := q.call("write", object{"session_id": x.id, "data": "x"}); m.Error == nil {
				t.Errorf("write: %s", m.text)
			}
			q.ok("ack", object{"session_id": x.id, "seq": 1}, nil)
			q.ok("detach", object{"session_id": x.id}, nil)
		})
	}
	var st rpc.SessionStatus
	if p.ok("status", object{"session_id": "build"}, &st); st.SessionID != before["failed"].id {
		t.Errorf("by name: %+v", st)
	}
	if ids, _ := p.pages(object{"limit": 5}); len(ids) != len(commands)+2 {
		t.Errorf("%d sessions are listed", len(ids))
	}
	if ids, _ := p.pages(object{"labels": object{"a": "b"}}); len(ids) != 1 {
		t.Errorf("by label: %v", ids)
	}
	s.largeFromAnywhere(t, before["large"])
	s.eventsOnly(t, events)
	if again := string(p.good(p.call("execute", waited)).Result); again != answer {
		t.Errorf("execute with wait: %s, not %s", again, answer)
	}
	s.forgets(t, dir, before, commands)
}

// largeFromAnywhere reads a session with one stream from random positions.
func (s *service) largeFromAnywhere(t *testing.T, x *transcript) {
	all := x.data["stdout"]
	r := rand.New(rand.NewPCG(9, 10))
	p := s.dial(t)
	for range 20 {
		from := r.IntN(len(all))
		y := &transcript{id: x.id, seq: int64(from) + 1}
		o := object{"session_id": x.id, "after_seq": y.seq}
		if r.IntN(2) == 0 {
			o["slow_client"] = "spool"
		}
		p.ok("attach", o, nil)
		if p.follow(y); !bytes.Equal(y.data["stdout"], all[from:]) {
			t.Fatalf("from %d: %d bytes, not %d", from, len(y.data["stdout"]), len(all)-from)
		}
	}
	// With a window, half of it at a time.
	y := &transcript{id: x.id}
	p.ok("attach", object{"session_id": x.id, "window": 100000}, nil)
	for acked := int64(0); y.record == nil; {
		m := p.next("events", func(m *message) bool { return m.session == x.id && m.Method != "" })
		if err := y.take(m); err != nil {
			t.Fatal(err)
		}
		if y.seq-acked > 100000 {
			t.Fatalf("%d are sent, %d are acknowledged", y.seq, acked)
		}
		if y.seq-acked > 50000 {
			acked = y.seq
			p.ok("ack", object{"session_id": x.id, "seq": acked}, nil)
		}
	}
	if !bytes.Equal(y.data["stdout"], all) {
		t.Errorf("with a window: %d bytes, not %d", len(y.data["stdout"]), len(all))
	}
	var got []byte
	for after, done := int64(0), false; !done; {
		var r rpc.ReadResult
		p.ok("read", object{"session_id": x.id, "after_seq": after, "max_bytes": 300000}, &r)
		for _, e := range r.Events {
			var o rpc.Output
			if p.decode(e.Params, &o); e.Method == "process.output" {
				got = append(got, o.Data...)
			}
		}
		after, done = r.LastSeq, r.Done
	}
	if !bytes.Equal(got, all) {
		t.Errorf("by read: %d bytes, not %d", len(got), len(all))
	}
}

// eventsOnly: a repeated execute without output gets the events.
func (s *service) eventsOnly(t *testing.T, params object) {
	p := s.dial(t)
	p.good(p.call("execute", params))
	for _, method := range []string{"process.started", "process.exited", "process.completed"} {
		if m := p.next("an event", func(m *message) bool { return m.session == params["session_id"] && m.Method != "" }); m.Method != method {
			t.Errorf("%s, not %s", m.text, method)
		}
	}
}

// forgets: what is forgotten leaves no trace, except for output in blocks of the window that are free.
func (s *service) forgets(t *testing.T, dir string, before map[string]*transcript, commands map[string]object) {
	p := s.dial(t)
	for name, x := range before {
		p.ok("forget", object{"session_id": x.id}, nil)
		p.fails(-32002, "status", object{"session_id": x.id})
		if name == "quiet" {
			if y := p.run(commands[name]); y.record == nil {
				t.Error("the id is not free")
			}
		}
	}
	p.fails(-32002, "status", object{"session_id": "build"})
	for _, trace := range []string{"seq 300000", "299999\n", "0123456789", "exit 3"} {
		found := slices.DeleteFunc(grepped(t, dir, trace), func(name string) bool { return name == "window" })
		if len(found) > 0 {
			t.Errorf("%q is in %v", trace, found)
		}
	}
}

// TestCrash: sessions that ran when the server died are lost, with the output that a client has received,
// and do not run again.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	commands := map[string]object{
		"silent":   {"command": "sleep 1000"},
		"small":    {"command": "echo out; echo err >&2; echo ready; sleep 1000", "env": object{"SECRET": "a-secret-value"}},
		"large":    {"command": "seq 300000; echo ready; sleep 1000"},
		"terminal": {"command": "seq 300000; echo ready; sleep 1000", "pty": object{"rows": 24, "cols": 80}},
	}
	received := map[string][]byte{}
	for name, params := range commands {
		params["session_id"], params["on_disconnect"] = uuid.NewString(), "keep"
		id := p.start(params)
		for name != "silent" && !bytes.Contains(received[name], []byte("ready")) {
			var o rpc.Output
			p.decode(p.event("process.output", id).Params, &o)
			if o.Type != "stderr" {
				received[name] = append(received[name], o.Data...)
			}
		}
	}
	copied := crashed(t, dir)
	if found := grepped(t, copied, "a-secret-value"); found != nil {
		t.Errorf("a value of the environment is in %v", found)
	}

	s = serve(t, inSpool(copied))
	p = s.dial(t)
	for name, params := range commands {
		id := params["session_id"].(string)
		var st rpc.SessionStatus
		p.ok("status", object{"session_id": id}, &st)
		if r := st.Completion; st.State != "ended" || r == nil || r.Reason != "lost" || r.ExitCode != nil || r.Signal != nil || r.SurvivorsVerified {
			t.Errorf("%s: %+v", name, st)
		}
		x := p.replayed(id)
		out := x.data["stdout"]
		if name == "terminal" {
			out = x.data["pty"]
		}
		if !bytes.Equal(out, received[name]) || len(x.gaps) > 0 {
			t.Errorf("%s: %d bytes, %v; %d were received", name, len(out), x.gaps, len(received[name]))
		}
		var r rpc.Captured
		p.ok("wait", object{"session_id": id, "capture_bytes": 6}, &r)
		tail := out[max(0, len(out)-6):]
		if name == "terminal" && deref(r.PTY) != string(tail) || name != "terminal" && deref(r.Stdout) != string(tail) {
			t.Errorf("%s: captured %+v, want %q", name, r.CapturedOutput, tail)
		}
		var again [8]rpc.ExecuteResult
		var all sync.WaitGroup
		for i := range again {
			q := s.dial(t)
			all.Go(func() { q.ok("execute", params, &again[i]) })
		}
		all.Wait()
		for _, r := range again {
			if r.Created || r.SessionID != id {
				t.Errorf("%s: %+v", name, r)
			}
		}
		p.fails(-32007, "execute", with(params, "command", "true"))
	}
	if n := s.registry.Running(); n != 0 {
		t.Errorf("%d sessions run", n)
	}
}

// TestSlowClientSpool: the process ends while its client reads nothing, which then gets everything.
func TestSlowClientSpool(t *testing.T) {
	s := serve(t, inSpool(t.TempDir()), func(set *settings) { set.Session.ReplayBytes = 64 << 10 })
	p := s.dial(t)
	id := uuid.NewString()
	const lines = 1000000
	p.good(p.call("execute", object{"command": fmt.Sprint("seq ", lines), "session_id": id, "slow_client": "spool", "window": 1000}))
	s.idle() // without an ack
	x := &transcript{id: id}
	p.ok("ack", object{"session_id": id, "seq": 1 << 40}, nil)
	p.follow(x)
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	if x.stdout() != want.String() || len(x.gaps) > 0 || x.record.Output.LostBytes != 0 {
		t.Errorf("%d bytes of %d, %v, %+v", len(x.stdout()), want.Len(), x.gaps, x.record)
	}
}
