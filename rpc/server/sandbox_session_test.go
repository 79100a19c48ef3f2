//go:build linux

package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// needsSandbox skips a test unless files can be enforced by a mechanism, "" for any.
func needsSandbox(t *testing.T, by string) {
	t.Helper()
	needsSandboxOf(t, host, by)
}

// hostWithoutBubblewrap returns a host that makes sandboxes with Landlock alone, and skips a test if
// that is not possible.
func hostWithoutBubblewrap(t *testing.T) *process.Host {
	t.Helper()
	h := hostWith(t, process.Options{Bubblewrap: "/nonexistent/bwrap"})
	needsSandboxOf(t, h, string(sandbox.Landlock))
	return h
}

// hostWith opens a host that contains trees by process groups, and closes it after the test.
func hostWith(t *testing.T, o process.Options) *process.Host {
	t.Helper()
	o.Containment = process.Group
	h, err := process.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func needsSandboxOf(t *testing.T, h *process.Host, by string) {
	t.Helper()
	s := h.SandboxSupport(t.Context())
	if has := string(s.By[sandbox.FilesPart]); has != "" && (by == "" || has == by) {
		return
	}
	why := fmt.Sprintf("needs sandboxes %s, not %s%s", by, s.By[sandbox.FilesPart], s.Why[sandbox.FilesPart])
	required := "bubblewrap"
	if by == string(sandbox.Landlock) {
		required = "landlock"
	}
	if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), required) {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestSandboxFloorAndLinks: a command may write below its directory, and make a symbolic link there.
// The next request that names the link asks for more than the floor.
func TestSandboxFloorAndLinks(t *testing.T) {
	needsSandbox(t, "")
	inside, outside := t.TempDir(), t.TempDir()
	s := serve(t, func(set *settings) { set.Server.Sandboxes.Default = sandbox.Workspace })
	p := s.dial(t)
	var made rpc.Captured
	p.ok("execute", object{"command": []string{"ln", "-s", outside, "link"}, "cwd": inside, "wait": true}, &made)
	if made.Status != rpc.StatusCompleted || made.Sandbox == nil || made.Sandbox.Files.By == "" {
		t.Fatalf("%+v", made)
	}
	for _, rule := range []object{
		{"path": "link", "access": "write"},
		{"path": "link/new", "access": "write", "missing": "create"},
		{"path": "link/new", "access": "read", "missing": "create"},
	} {
		e := p.fails(rpc.CodeInvalidParams, "execute", object{
			"command": "touch link/file", "cwd": inside, "sandbox": object{"files": []object{rule}}, "wait": true,
		})
		if e.Data["field"] != "sandbox.files[0]" {
			t.Errorf("%v: %+v", rule, e)
		}
	}
	if files, err := os.ReadDir(outside); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
	p.ok("execute", object{
		"command": "touch file", "cwd": inside, "wait": true, "sandbox": object{"files": []object{{"path": ".", "access": "write"}}},
	}, &made)
	if _, err := os.Stat(filepath.Join(inside, "file")); err != nil {
		t.Error(err)
	}
}

// TestSandboxHidden: what the host hides cannot be asked for by its name, and is not reached by
// another one. What such a directory has is not visible.
func TestSandboxHidden(t *testing.T) {
	needsSandbox(t, "")
	dir, hidden := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(hidden, "token"), []byte("secret"), 0o600), os.Symlink(hidden, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	h := hostWith(t, process.Options{HideFromSandboxes: []string{hidden}})
	s := serve(t, func(set *settings) { set.Session.Host = h })
	p := s.dial(t)
	const script = `cat "$0"/token "$1"/token; echo "status $?"`
	run := func(rules ...object) string {
		t.Helper()
		var done rpc.Captured
		p.ok("execute", object{
			"command": []string{"sh", "-c", script, hidden, filepath.Join(dir, "link")}, "cwd": "/", "wait": true,
			"sandbox": object{"profile": "off", "files": rules},
		}, &done)
		return *done.Stdout
	}
	if got := run(object{"path": filepath.Join(dir, "link"), "access": "write"}); got != "status 1\n" {
		t.Errorf("%q", got)
	}
	for _, path := range []string{hidden, filepath.Join(hidden, "token"), hidden + "/../" + filepath.Base(hidden)} {
		e := p.fails(rpc.CodeInvalidParams, "execute", object{"command": "true", "cwd": "/", "sandbox": object{"files": []object{{"path": path, "access": "read"}}}})
		if e.Data["field"] != "sandbox.files[0]" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	var open rpc.Captured
	p.ok("execute", object{"command": []string{"sh", "-c", script, hidden, dir + "/link"}, "wait": true, "cwd": "/"}, &open)
	if *open.Stdout != "secretsecretstatus 0\n" {
		t.Errorf("without a sandbox: %q", *open.Stdout)
	}
}

// TestSandboxNames: the reply, the status, the record, the audit log and the log say which profile a
// sandbox is made of, and which ones were required.
func TestSandboxNames(t *testing.T) {
	needsSandbox(t, "")
	for _, c := range []struct {
		byServer, byPolicy string
		asked              any
		want               string // the profile, and the floor
	}{
		{"", "", object{}, "read-only []"},
		{"", "", object{"profile": "workspace", "network": "none"}, "workspace []"},
		{"workspace", "", nil, " [workspace]"},
		{"workspace", "workspace", object{}, " [workspace]"},
		{"workspace", "read-only", "read-only", "read-only [workspace read-only]"},
		{"off", "read-only", nil, " [read-only]"},
	} {
		a, log := auditTo(t, audit.Options{}), &errorLog{}
		p := serve(t, func(set *settings) {
			a.set(set)
			set.Session.Log = zerolog.New(log)
			set.Server.Sandboxes.Default = c.byServer
			set.Server.Restrict = func(_ access.Identity, _ *rpc.ExecuteParams, spec *session.Spec) error {
				spec.Floor = session.Floor{Profile: c.byPolicy, Rule: "default.sandbox"}
				return nil
			}
		}).dial(t)
		params := object{"command": "read x", "cwd": t.TempDir(), "stdin": "pipe"}
		if c.asked != nil {
			params["sandbox"] = c.asked
		}
		names := func(what string, r *rpc.SandboxReport) {
			t.Helper()
			if got := fmt.Sprint(r.Profile, " ", r.Floor); got != c.want {
				t.Errorf("%q %q %v: %s: %s, want %s", c.byServer, c.byPolicy, c.asked, what, got, c.want)
			}
		}
		var started rpc.ExecuteResult
		p.ok("execute", params, &started)
		names("reply", started.Sandbox)
		var status rpc.SessionStatus
		p.ok("status", object{"session_id": started.SessionID}, &status)
		names("status", status.Sandbox)
		p.ok("write", object{"session_id": started.SessionID, "eof": true}, nil)
		var record rpc.Completion
		p.ok("wait", object{"session_id": started.SessionID}, &record)
		names("record", record.Sandbox)
		audited := of(a.lines(), "started")[0].Sandbox
		names("audit log", &rpc.SandboxReport{Profile: audited.Profile, Floor: audited.Floor})
		var logged struct {
			Message, Profile, Session, Files, Network, Metadata string
			Floor                                               []string
		}
		if err := json.Unmarshal([]byte(log.text()), &logged); err != nil || logged.Message != "sandbox" || logged.Session != started.SessionID ||
			logged.Files != "read by "+started.Sandbox.Files.By || logged.Network != "none by "+started.Sandbox.Network.By || logged.Metadata != "files by "+started.Sandbox.Metadata.By {
			t.Errorf("logged: %v, %s", err, log.text())
		}
		names("log", &rpc.SandboxReport{Profile: logged.Profile, Floor: logged.Floor})
	}
}

// TestSandboxForbiddenIsLogged: the log says which profile of a policy forbids a sandbox, as it says of
// everything else that a policy forbids.
func TestSandboxForbiddenIsLogged(t *testing.T) {
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	log := &errorLog{}
	p := serve(t, func(set *settings) {
		set.Server.Log = zerolog.New(log)
		set.Server.Restrict = func(_ access.Identity, _ *rpc.ExecuteParams, spec *session.Spec) error {
			spec.Floor = session.Floor{Profile: "workspace", Rule: "default.sandbox"}
			return nil
		}
	}).dial(t)
	params := object{"command": "true", "cwd": "/var", "traceparent": "00-" + traceID + "-00f067aa0ba902b7-01", "sandbox": object{"network": "full"}}
	p.fails(rpc.CodeForbidden, "execute", params)
	want := `{"level":"debug","principal":"user","trace_id":"` + traceID + `","rule":"default.sandbox","field":"sandbox.network",` +
		`"reason":"the profile workspace permits less","message":"forbidden"}` + "\n"
	if !strings.HasSuffix(log.text(), want) {
		t.Errorf("logged: %s, want %s", log.text(), want)
	}
}
