//go:build linux

package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// auditLog is the audit log of a service.
type auditLog struct {
	t    testing.TB
	path string
	log  *audit.Log
}

// auditTo opens an audit log in a file.
func auditTo(t testing.TB, o audit.Options) *auditLog {
	t.Helper()
	a := &auditLog{t: t, path: filepath.Join(t.TempDir(), "audit")}
	if o.Target == "" {
		o.Target = a.path
	}
	var err error
	if a.log, err = audit.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.log.Close)
	return a
}

func (a *auditLog) set(s *settings) {
	s.Server.Audit = a.log
	s.Session.OnRunning, s.Session.OnEnded, s.Session.OnDestination = server.AuditSessions(a.log)
}

// auditLine is a line of the audit log.
type auditLine struct {
	V            int
	Seq          int64
	Time         time.Time
	Event        string
	Principal    string
	Role         string
	Credential   string
	ConnectionID string `json:"connection_id"`
	SessionID    string `json:"session_id"`
	Name         string
	Owner        string
	Action       string
	Code         int
	Reason       string
	Program      string
	Shell        bool
	Command      string
	Argv         []string
	CWD          string
	Env          []string
	Unset        []string `json:"env_unset"`
	Status       any
	Signal       *string
	ExitCode     *int `json:"exit_code"`
	PID          int
	Peer         struct{ Address string }
	Limits       map[string]float64
	Output       rpc.OutputCounts
	Count        int64
	Sandbox      struct {
		Profile string
		Floor   []string
	}
	Error *struct {
		Code              int
		Kind, Rule, Field string
	}
	text string
}

// awaitEnds waits until the log has lines about the end of n sessions.
func (a *auditLog) awaitEnds(n int) {
	a.t.Helper()
	eventually(a.t, "line about the end of a session", func() bool {
		text, err := os.ReadFile(a.path)
		return err == nil && bytes.Count(text, []byte(`"event":"end"`)) >= n
	})
}

// lines closes the log and returns its lines.
func (a *auditLog) lines() (all []auditLine) {
	a.t.Helper()
	a.log.Close()
	text, err := os.ReadFile(a.path)
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		x := auditLine{text: line}
		if err := json.Unmarshal([]byte(line), &x); err != nil || x.V != 1 || x.Seq != int64(len(all)+1) {
			a.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, x)
	}
	return all
}

func of(all []auditLine, event string) (some []auditLine) {
	for _, x := range all {
		if x.Event == event {
			some = append(some, x)
		}
	}
	return some
}

// TestAudit: the lines of a conversation of one connection.
func TestAudit(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set)
	p := s.dial(t)
	record := p.run(object{"command": []string{"sh", "-c", "exit 3"}, "name": "build", "cwd": "/tmp", "env": object{"B": "1", "A": "2", "C": nil},
		"limits": object{"cpu_seconds": 9.5}}).record
	a.awaitEnds(1) // the line follows the completion record
	p.fails(rpc.CodeInvalidParams, "execute", object{"command": "true", "secret": "x"})
	p.fails(rpc.CodeSpawnFailed, "execute", object{"command": []string{"/nonexistent"}})
	id := p.start(object{"command": "read x; kill -9 $$", "stdin": "pipe"})
	p.ok("control", object{"session_id": id, "type": "PAUSE"}, nil)
	p.fails(rpc.CodeInvalidParams, "control", object{"session_id": id, "type": "RESIZE"})
	p.ok("control", object{"session_id": id, "type": "RESUME"}, nil)
	p.ok("write", object{"session_id": id, "data": "a"}, nil)
	p.ok("attach", object{"session_id": id}, nil)
	p.ok("write", object{"session_id": id, "data": "\n"}, nil)
	p.ok("status", object{"session_id": id}, nil)
	p.ok("wait", object{"session_id": id}, nil)
	a.awaitEnds(3)
	p.ok("cancel", object{"session_id": id, "signal": "INT"}, nil)
	p.fails(rpc.CodeSessionNotFound, "cancel", object{"session_id": uuid.NewString()})
	p.ok("forget", object{"session_id": id}, nil)
	p.fails(rpc.CodeSessionNotFound, "forget", object{"session_id": id})
	_ = p.ws.Close(4000, "done")
	s.shutdown(0)
	all := a.lines()

	var got []string
	for _, x := range all {
		what := x.Event
		if x.Action != "" {
			what += " " + x.Action
		}
		if x.Error != nil {
			what += fmt.Sprintf(" %d", x.Error.Code)
		}
		got = append(got, what)
		if x.Principal != "user" || x.Event != "end" && x.Event != "started" && (x.Peer.Address == "" || x.ConnectionID != p.hello.ConnectionID) {
			t.Errorf("no caller: %s", x.text)
		}
	}
	want := []string{
		"connection open", "execute", "started", "end", "execute -32602", "execute", "end -32008", "execute", "started",
		"control PAUSE", "control RESIZE -32602", "control RESUME", "control write", "attach attach", "end", "control CANCEL",
		"control CANCEL -32002", "control forget", "control forget -32002", "connection close",
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines\n%q, want\n%q", got, want)
	}
	x := of(all, "execute")[0]
	if x.Program != "sh" || x.Shell || x.Argv != nil || x.CWD != "/tmp" || !slices.Equal(x.Env, []string{"A", "B"}) ||
		!slices.Equal(x.Unset, []string{"C"}) || x.Limits["cpu_seconds"] != 9.5 || x.SessionID != record.SessionID || x.Name != "build" {
		t.Error(x.text)
	}
	if e := of(all, "end")[0]; *e.ExitCode != 3 || e.PID != record.PID || e.Status != "failed" || e.SessionID != record.SessionID {
		t.Error(e.text)
	}
	if c := all[len(all)-1]; c.Code != 4000 || c.Reason != "done" {
		t.Error(c.text)
	}
}

// TestAuditWithFullCommands: the arguments of a command, and the text of a shell command, are in the
// lines only if that was asked for.
func TestAuditWithFullCommands(t *testing.T) {
	for _, full := range []bool{false, true} {
		a := auditTo(t, audit.Options{FullCommands: full})
		s := serve(t, a.set)
		p := s.dial(t)
		p.run(object{"command": []string{"true", "argument"}})
		p.run(object{"command": "true text"})
		s.shutdown(0)
		lines := of(a.lines(), "execute")
		if argv := lines[0].Argv; full && !slices.Equal(argv, []string{"true", "argument"}) || !full && argv != nil {
			t.Errorf("argv: %q", argv)
		}
		if x := lines[1]; x.Program != "/bin/sh" || !x.Shell || full != (x.Command == "true text") || !full && x.Command != "" {
			t.Error(x.text)
		}
	}
}

// TestAuditOfOthersSessions: each use of a right on the session of another principal has a line
// with both principals, and so has the attempt.
func TestAuditOfOthersSessions(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) { set.Server.Auth, set.Server.SameGroup = &callers{}, sameTeam })
	alice, admin, observer, mallory := s.as(t, "team-alice"), s.as(t, "root,admin"), s.as(t, "team-bob,observe"), s.as(t, "mallory")
	id := alice.start(object{"command": "sleep 1000"})
	name := "team-alice/" + id
	const times = 5
	for range times { // one line, and one with the number of the others; more if a second has passed meanwhile
		admin.ok("status", object{"session_id": name}, nil)
		observer.ok("read", object{"session_id": name, "timeout": 0}, nil)
		admin.ok("list", object{}, nil)
		alice.ok("status", object{"session_id": id}, nil)
	}
	observer.ok("attach", object{"session_id": name}, nil)
	observer.fails(rpc.CodeForbidden, "cancel", object{"session_id": name})
	observer.fails(rpc.CodeForbidden, "execute", object{"command": "true"})
	mallory.fails(rpc.CodeSessionNotFound, "read", object{"session_id": name})
	admin.fails(rpc.CodeForbidden, "write", object{"session_id": name, "data": ""})
	admin.ok("cancel", object{"session_id": name}, nil)
	s.shutdown(0)
	var got []string
	uses := map[string]int64{}
	for _, x := range a.lines() {
		if repeated := x.Action == "status" || x.Action == "read" && x.Error == nil || x.Action == "list"; repeated {
			use := x.Principal + " " + x.Action + ": " + x.Owner
			uses[use] += max(x.Count, 1)
			if x.Count > 0 {
				continue
			}
		}
		if x.Event == "attach" || x.Event == "control" || x.Error != nil {
			line := fmt.Sprintf("%s %s %s: %s", x.Principal, x.Event, x.Action, x.Owner)
			if x.Error != nil {
				line += " " + x.Error.Kind + " " + x.Error.Rule
			}
			if x.SessionID != id && x.Action != "list" && x.Event != "execute" {
				t.Error(x.text)
			}
			got = append(got, line)
		}
	}
	want := []string{
		"root attach status: team-alice",
		"team-bob attach read: team-alice",
		"root attach list: ",
		"team-bob attach attach: team-alice",
		"team-bob control CANCEL: team-alice forbidden role.observe",
		"team-bob execute : team-bob forbidden role.observe",
		"mallory attach read: team-alice session_not_found ",
		"root control write: team-alice forbidden role.admin",
		"root control CANCEL: team-alice",
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines\n%q, want\n%q", got, want)
	}
	if want := map[string]int64{"root status: team-alice": times, "team-bob read: team-alice": times, "root list: ": times}; !maps.Equal(uses, want) {
		t.Errorf("uses %v, want %v", uses, want)
	}
}

// TestAuditOfAFlood: the refused requests of a principal are counted, whatever they name and over which
// of its connections they come.
func TestAuditOfAFlood(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) { set.Server.Auth, set.Server.SameGroup = &callers{}, sameTeam })
	observers := []*peer{s.as(t, "team-bob,observe"), s.as(t, "team-bob,observe"), s.as(t, "team-eve,observe")}
	const times = 50
	for _, p := range observers {
		for i := range times {
			id := uuid.NewString()
			p.fails(rpc.CodeForbidden, "execute", object{"command": fmt.Sprint("rm ", i)})
			p.fails(rpc.CodeInvalidParams, "control", object{"session_id": id, "type": fmt.Sprint("TYPE", i)})
			p.fails(rpc.CodeSessionNotFound, "cancel", object{"session_id": id})
			p.fails(rpc.CodeSessionNotFound, "attach", object{"session_id": id})
			p.fails(rpc.CodeSessionNotFound, "write", object{"session_id": id, "data": ""})
		}
	}
	s.shutdown(0)
	counts, lines := map[string]int64{}, map[string]int{}
	began, ended := time.Time{}, time.Time{}
	for _, x := range a.lines() {
		if began.IsZero() {
			began = x.Time
		}
		ended = x.Time
		if x.Error == nil {
			continue
		}
		what := x.Principal + " " + x.Event
		if x.Event != "execute" {
			what += " " + x.Action
		}
		counts[what] += max(x.Count, 1)
		lines[what]++
	}
	want := map[string]int64{}
	for who, n := range map[string]int64{"team-bob": 2 * times, "team-eve": times} {
		for _, what := range []string{"execute", "control ", "control CANCEL", "control write", "attach attach"} {
			want[who+" "+what] = n
		}
	}
	if !maps.Equal(counts, want) {
		t.Errorf("refused requests %v, want %v", counts, want)
	}
	for what, n := range lines {
		if most := 3 + int(ended.Sub(began)/time.Second); n > most {
			t.Errorf("%s: %d lines, want at most %d", what, n, most)
		}
	}
}

// linesOf returns how many requests, or connections, of each action the lines of an event stand for,
// and how many lines these are. It fails if a line with a count names what it must not.
func linesOf(t *testing.T, all []auditLine, event string) (counts, lines map[string]int64) {
	t.Helper()
	counts, lines = map[string]int64{}, map[string]int64{}
	for _, x := range of(all, event) {
		counts[x.Action] += max(x.Count, 1)
		lines[x.Action]++
		if x.Principal != "user" || x.Peer.Address == "" || x.Error != nil {
			t.Error(x.text)
		}
	}
	return counts, lines
}

// wholeSeconds returns in how many seconds the lines were written.
func wholeSeconds(all []auditLine) int64 {
	return int64(all[len(all)-1].Time.Sub(all[0].Time)/time.Second) + 1
}

// TestAuditOfControls: controls and attachments that a client repeats do not fill the audit log, over
// whichever connection they come, and all of them are counted.
func TestAuditOfControls(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set)
	peers := []*peer{s.dial(t), s.dial(t)}
	id := peers[0].start(object{"command": "exec sleep 1000"})
	const times, pauses = 1000, 5
	for i := range times {
		for _, p := range peers {
			if i < pauses {
				p.ok("control", object{"session_id": id, "type": "PAUSE"}, nil)
				p.ok("control", object{"session_id": id, "type": "RESUME"}, nil)
			}
			p.request("control", object{"session_id": id, "type": "SIGNAL", "signal": "URG", "to": "leader"})
			p.ok("attach", object{"session_id": id}, nil)
		}
	}
	peers[0].ok("cancel", object{"session_id": id}, nil)
	for _, p := range peers {
		_ = p.ws.CloseNow()
	}
	s.shutdown(0)
	all := a.lines()
	controls, lines := linesOf(t, all, "control")
	if want := (map[string]int64{"PAUSE": 2 * pauses, "RESUME": 2 * pauses, "SIGNAL": 2 * times, "CANCEL": 1}); !maps.Equal(controls, want) {
		t.Errorf("controls %v, want %v", controls, want)
	}
	attached, attachLines := linesOf(t, all, "attach")
	if attached["attach"] != 2*times {
		t.Errorf("attached: %v", attached)
	}
	maps.Copy(lines, attachLines)
	for action, n := range lines {
		if most := 2 + wholeSeconds(all); n > most {
			t.Errorf("%s: %d lines, want at most %d", action, n, most)
		}
	}
	for _, x := range of(all, "control") {
		if x.SessionID != id || x.Owner != "user" || (x.Action == "SIGNAL") != (x.Signal != nil) || x.Signal != nil && *x.Signal != "URG" {
			t.Error(x.text)
		}
	}
}

// TestAuditOfShortConnections: connections that are opened and closed in a loop do not fill the audit
// log, and all of them are counted. Their requests are counted over all of them.
func TestAuditOfShortConnections(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set)
	p := s.dial(t)
	id := p.start(object{"command": "cat", "stdin": "pipe"})
	const times = 200
	for i := range times {
		p := s.dial(t)
		p.ok("write", object{"session_id": id, "data": ""}, nil)
		_ = p.ws.Close(websocket.StatusCode(3000+i), "")
	}
	_ = p.ws.CloseNow()
	s.shutdown(0)
	all := a.lines()
	connections, lines := linesOf(t, all, "connection")
	if want := (map[string]int64{"open": times + 1, "close": times + 1}); !maps.Equal(connections, want) {
		t.Errorf("connections %v, want %v", connections, want)
	}
	for action, n := range lines {
		if most := 2 + 20*(1+wholeSeconds(all)); n > most { // connectionLines; and that of p
			t.Errorf("%s: %d lines, want at most %d", action, n, most)
		}
	}
	if writes, lines := linesOf(t, all, "control"); writes["write"] != times || lines["write"] > 2+wholeSeconds(all) {
		t.Errorf("writes %v in lines %v", writes, lines)
	}
}

// TestAuditOfOverload: requests that are refused because too many are in flight have a line.
func TestAuditOfOverload(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) { set.Server.MaxInFlight = 1 })
	p := s.dial(t)
	id := p.start(object{"command": "sleep 1000"})
	wait := p.request("wait", object{"session_id": id})
	for _, method := range []string{"execute", "control", "cancel", "write"} {
		p.fails(rpc.CodeOverloaded, method, object{"session_id": id})
	}
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, wait)
	s.shutdown(0)
	var got []string
	for _, x := range a.lines() {
		if x.Error != nil && x.Event != "end" {
			got = append(got, fmt.Sprint(x.Event, " ", x.Action, " ", x.Error.Code))
		}
	}
	if want := []string{"execute  -32009", "control  -32009", "control CANCEL -32009", "control write -32009"}; !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

// TestAuditOfSilentClients: the line of a connection that the server has aborted says why.
func TestAuditOfSilentClients(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) { set.Server.PingInterval = 20 * time.Millisecond })
	p := s.dial(t) // does not answer pings, since it does not read
	eventually(t, "the connection is aborted", func() bool {
		text, _ := os.ReadFile(a.path)
		return bytes.Contains(text, []byte(`"close"`))
	})
	_ = p.ws.CloseNow()
	s.shutdown(0)
	if x := a.lines()[1]; x.Reason != "nothing was received for 60ms" || x.Code != 0 {
		t.Error(x.text)
	}
}

// TestAuditOfRefusals: refused requests of a peer are counted in one line.
func TestAuditOfRefusals(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) { set.Server.Auth = &callers{} })
	for range 10 {
		if _, err := s.tryDial(t, dialing{path: "/ws", header: map[string][]string{"X-Caller": {"x,none"}}}); err == nil {
			t.Fatal("not refused")
		}
	}
	s.shutdown(0)
	var count int64
	lines := of(a.lines(), "refusal")
	for _, x := range lines {
		count += x.Count
		if x.Reason != "unknown caller" || x.Status.(float64) != 401 || x.Peer.Address != "127.0.0.1" {
			t.Error(x.text)
		}
	}
	if count != 10 || len(lines) > 2 { // 2 if a second began meanwhile
		t.Errorf("%d refusals in %d lines", count, len(lines))
	}
}

// TestAuditOfUnauthorizedRequests: a request that Options.Authorize refuses has a line, whatever its
// method is.
func TestAuditOfUnauthorizedRequests(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) {
		set.Server.Authorize = func(access.Identity, string, any) error { return rpc.Forbidden("methods", "method") }
	})
	p := s.dial(t)
	id := uuid.NewString()
	want := map[string]string{
		"execute": "execute", "control": "control PAUSE", "cancel": "control CANCEL", "write": "control write",
		"attach": "attach attach", "read": "attach read", "wait": "attach wait", "status": "attach status", "list": "attach list",
	}
	params := map[string]object{"execute": {"command": "true"}, "control": {"type": "PAUSE", "session_id": id}, "list": {},
		"write": {"data": "", "session_id": id}}
	for method := range want {
		of := params[method]
		if of == nil {
			of = object{"session_id": id}
		}
		text, err := json.Marshal(object{"jsonrpc": "2.0", "method": method, "params": of})
		if err != nil {
			t.Fatal(err)
		}
		p.send("%s", text)
	}
	p.ok("pong", object{}, nil) // the requests are carried out in order
	s.shutdown(0)
	var got []string
	for _, x := range a.lines() {
		if x.Event == "connection" {
			continue
		}
		got = append(got, strings.TrimSuffix(x.Event+" "+x.Action, " "))
		if x.Error == nil || x.Error.Rule != "methods" || x.Event != "execute" && x.Action != "list" && x.SessionID != id {
			t.Error(x.text)
		}
	}
	if all := slices.Sorted(maps.Values(want)); !slices.Equal(slices.Sorted(slices.Values(got)), all) {
		t.Errorf("lines %q, want %q", got, all)
	}
}

// TestAuditOfCredentials: renewals, refused ones too, and the close of a connection whose credential
// was revoked.
func TestAuditOfCredentials(t *testing.T) {
	a := auditTo(t, audit.Options{})
	auth := &callers{}
	s := serve(t, a.set, func(set *settings) { set.Server.Auth = auth })
	p := s.as(t, "alice,run,1000")
	p.ok("authenticate", object{"token": "alice,run,2000"}, nil)
	p.fails(rpc.CodeForbidden, "authenticate", object{"token": "bob"})
	auth.revoke("alice,run,2000")
	s.server.Reauthenticate()
	p.closed(rpc.CloseUnauthorized)
	s.shutdown(0)
	lines := of(a.lines(), "connection")
	if len(lines) != 4 {
		t.Fatalf("%d lines about the connection", len(lines))
	}
	renewed, refused, closed := lines[1], lines[2], lines[3]
	if renewed.Action != "authenticate" || renewed.Credential != "alice,run,2000" || renewed.Error != nil {
		t.Error(renewed.text)
	}
	if refused.Action != "authenticate" || refused.Error == nil || refused.Error.Rule != "principal" || strings.Contains(refused.text, "bob") {
		t.Error(refused.text)
	}
	if closed.Code != rpc.CloseUnauthorized || closed.Reason != "the credential was revoked" {
		t.Error(closed.text)
	}
}

// TestNoSecrets: what a client sends in arguments, values of variables, stdin and tokens is neither
// in the log at any level, nor in the audit log, nor in errors.
func TestNoSecrets(t *testing.T) {
	const secret = "s3cr3t"
	var log errorLog
	a := auditTo(t, audit.Options{Log: zerolog.New(&log)})
	s := serve(t, a.set, func(set *settings) {
		set.Server.Auth = &callers{}
		set.Server.Log, set.Session.Log = zerolog.New(&log), zerolog.New(&log)
	})
	p := s.as(t, "alice")
	var replies bytes.Buffer
	call := func(method string, params object) *message {
		m := p.call(method, params)
		if m.Error != nil {
			replies.WriteString(m.text)
		}
		return m
	}
	env := object{"PASSWORD": secret}
	p.run(object{"command": []string{"cat", secret}, "env": env})
	p.run(object{"command": "false " + secret, "env": env, "labels": object{"l": secret}})
	id := p.start(object{"command": []string{"sh", "-c", "cat >/dev/null # " + secret}, "stdin": "pipe"})
	call("write", object{"session_id": id, "data": secret})
	call("write", object{"session_id": id, "data": secret, "encoding": "base64"})
	call("write", object{"session_id": id, "eof": true})
	call("write", object{"session_id": id, "data": secret})
	call("authenticate", object{"token": secret + ",none"})
	call("execute", object{"command": []string{"/nonexistent", secret}, "env": env})
	call("execute", object{"command": []string{"true", secret + strings.Repeat("x", 200_000)}, "env": env})
	call("execute", object{"command": []string{"true", secret, "\x00"}, "env": env})
	call("execute", object{"command": []string{"true", secret}, "env": object{"A": secret + "\x00"}})
	p.send(`{"jsonrpc":"2.0","method":"execute","params":{"command":["/nonexistent",%q]}}`, secret)
	p.send(`{"jsonrpc":"2.0","method":"execute","params":{"command":%q`, secret) // is not JSON
	for _, params := range []string{`{"command":"true","stdin":"%s"}`, `{"command":"true","mode":"%s"}`, `{"command":"true","timeout":"%s"}`,
		`{"command":"true","stop_signal":"%s"}`, `{"command":"true","limits":"%s"}`, `["%s"]`} {
		p.send(`{"jsonrpc":"2.0","method":"execute","params":`+params+`}`, secret)
	}
	p.send(`{"jsonrpc":"2.0","method":"control","params":{"type":%q}}`, secret)
	call("status", object{"session_id": id})
	header := map[string][]string{"X-Caller": {secret + ",none"}, "Authorization": {"Bearer " + secret}, "Sec-Websocket-Protocol": {"bearer." + secret}}
	if _, err := s.tryDial(t, dialing{path: "/ws?token=" + secret, header: header}); err == nil {
		t.Fatal("a wrong token is accepted")
	}
	_ = p.write(websocket.MessageBinary, []byte(secret)) // closes the connection
	_ = p.over()
	s.shutdown(0)
	var lines strings.Builder
	for _, x := range a.lines() {
		lines.WriteString(x.text)
	}
	for what, text := range map[string]string{"the log": log.take(), "the audit log": lines.String(), "an error": replies.String()} {
		if i := strings.Index(text, secret); i >= 0 || text == "" {
			t.Errorf("a secret is in %s, or it is empty: %.300s", what, text[max(i-200, 0):])
		}
	}
}

// TestAuditRequired: while the file cannot be written, an execute is refused and nothing else is.
// Afterwards sessions are accepted again, and every execute has its lines.
func TestAuditRequired(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	a := auditTo(t, audit.Options{Target: "-", Stdout: pipe, Required: true})
	s := serve(t, a.set)
	p := s.dial(t)
	before := object{"command": "true", "wait": true, "session_id": uuid.NewString()}
	p.ok("execute", before, nil)
	fill(t, fifo)
	e := p.fails(rpc.CodeShuttingDown, "execute", object{"command": "true"}) // after a second
	if e.Data["kind"] != "audit_unavailable" {
		t.Errorf("kind %v", e.Data["kind"])
	}
	p.fails(rpc.CodeShuttingDown, "execute", object{"command": "true"}) // at once
	p.ok("list", object{}, nil)
	p.ok("execute", before, nil) // is repeated, and makes no session
	if n := s.registry.Running(); n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	read := make(chan string)
	go func() { read <- readUntil(pipe, `"stop"`) }()
	eventually(t, "an execute after the file could be written", func() bool {
		return p.call("execute", object{"command": "true", "wait": true}).Error == nil
	})
	s.shutdown(0)
	a.log.Write(&audit.Stop{})
	text := <-read
	executes, ends, failed := 0, 0, 0
	for line := range strings.Lines(text) {
		var x auditLine
		if err := json.Unmarshal([]byte(strings.TrimLeft(line, "x")), &x); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch {
		case x.Event == "execute" && x.Error == nil:
			executes++
		case x.Event == "end":
			ends++
			if x.Error != nil && x.Error.Kind == "audit_unavailable" {
				failed++ // the execute that waited
			}
		}
	}
	if executes != 3 || ends != 3 || failed != 1 {
		t.Errorf("%d executes, %d ends, %d of them because of the log:\n%s", executes, ends, failed, text)
	}
}

// fill fills the buffer of a FIFO.
func fill(t *testing.T, fifo string) {
	fd, err := syscall.Open(fifo, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for err == nil {
		_, err = syscall.Write(fd, []byte("x"))
	}
}

// readUntil reads until the text contains end.
func readUntil(r *os.File, end string) string {
	var text []byte
	b := make([]byte, 64<<10)
	for !bytes.Contains(text, []byte(end)) {
		n, err := r.Read(b)
		if err != nil {
			break
		}
		text = append(text, b[:n]...)
	}
	return string(text)
}

// TestAuditAgreesWithClients: after many executes, cancels, disconnects and refused starts, each
// session has one execute line and one end line, which agree with the records that clients saw.
func TestAuditAgreesWithClients(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set, func(set *settings) { set.Session.MaxSessions = 8 })
	var mu sync.Mutex
	seen := map[string]rpc.Completion{}
	refused := 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 6 {
				p := s.dial(t)
				for range 5 {
					refusals, records := storm(p)
					mu.Lock()
					refused += refusals
					for _, c := range records {
						seen[c.SessionID] = c
					}
					mu.Unlock()
				}
				_ = p.ws.CloseNow()
			}
		})
	}
	all.Wait()
	s.idle()
	s.shutdown(0)
	begun, ended := map[string]auditLine{}, map[string]auditLine{}
	for _, x := range a.lines() {
		switch {
		case x.Event == "execute" && x.Error != nil:
			refused -= max(int(x.Count), 1)
		case x.Event == "execute":
			if _, twice := begun[x.SessionID]; twice {
				t.Errorf("a second execute of %s", x.SessionID)
			}
			begun[x.SessionID] = x
		case x.Event == "end":
			if _, twice := ended[x.SessionID]; twice || begun[x.SessionID].SessionID == "" {
				t.Errorf("an end without an execute, or a second one: %s", x.text)
			}
			ended[x.SessionID] = x
		}
	}
	if len(begun) != len(ended) || len(begun) < len(seen) || len(seen) < 20 || refused > 0 {
		t.Errorf("%d executes, %d ends, %d records seen, %d refusals without a line", len(begun), len(ended), len(seen), refused)
	}
	for id, c := range seen {
		x := ended[id]
		if x.Status != any(c.Status) || x.Reason != c.Reason || x.PID != c.PID || !equal(x.ExitCode, c.ExitCode) || !equal(x.Signal, c.Signal) || x.Output != c.Output {
			t.Errorf("%+v, but the client has %+v", x, c)
		}
	}
}

func equal[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// storm sends some requests to execute, and returns how many of them were refused, and the records
// of those that have ended.
func storm(p *peer) (refused int, seen []rpc.Completion) {
	record := func(m *message) {
		var c rpc.Completion
		if m.Error != nil {
			if m.Error.Code != rpc.CodeSpawnFailed && m.Error.Code != rpc.CodeRequestCanceled {
				refused++
			}
			return
		}
		p.decode(m.Result, &c)
		seen = append(seen, c)
	}
	switch rand.IntN(6) {
	case 0:
		record(p.call("execute", object{"command": fmt.Sprintf("echo out; exit %d", rand.IntN(3)), "wait": true}))
	case 1:
		record(p.call("execute", object{"command": []string{"/nonexistent"}, "wait": true}))
	case 2:
		record(p.call("execute", object{"command": []string{"true"}, "cwd": 1}))
	case 3:
		id := p.request("execute", object{"command": "sleep 1000", "wait": true})
		p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, id)
		record(p.reply(id))
	case 4:
		p.request("execute", object{"command": "sleep 1000"}) // until the disconnect
	case 5:
		record(p.call("execute", object{"command": "kill -TERM $$", "wait": true, "session_id": uuid.NewString()}))
	}
	return refused, seen
}
