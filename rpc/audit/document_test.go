package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// examples are the events of the examples of docs/audit.md, in their order.
func examples() []Event {
	const session = "20b8f2aa-2b53-43b6-93a8-3fc0f4f7b3c7"
	alice := Caller{
		Identity:   access.Identity{Principal: "alice", Credential: "token:alice:23a38ec6fe51e5aa"},
		Peer:       Peer{Address: "127.0.0.1:50010", Forwarded: "203.0.113.7"},
		Connection: "f69c5b3e-8a59-4b0c-9f0e-0d5b4f6a1c11",
	}
	user := Caller{
		Identity:   access.Identity{Principal: "user", Credential: "uid:1000"},
		Peer:       Peer{Peer: access.Peer{Unix: true, Known: true, UID: 1000, GID: 1000, PID: 4800}},
		Connection: "c2b0d6f4-53a6-4c36-8d54-5c3c65d7a4f2",
	}
	carol := user
	carol.Identity = access.Identity{Principal: "carol", Role: access.Admin, Credential: "token:carol:7a3d00b3c8176d2e"}
	code, userTime, systemTime := 2, 1.0, 0.125
	of := Session{session, "alice"}
	return []Event{
		&Start{Version: "v1.2.3", PID: 4711, UID: 1000, Listen: []string{"127.0.0.1:8003"}},
		&Stop{},
		&Connection{Caller: alice, Action: ActionOpen, Path: "/ws", Expires: time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)},
		&Connection{Caller: user, Action: ActionClose, Duration: 12500 * time.Millisecond, Code: 1001, Reason: "shutting down"},
		&Connection{Caller: alice, Action: ActionClose, Code: 1000, Count: 480},
		&Refusal{
			Peer: Peer{Address: "127.0.0.1"}, Reason: "a bearer token is needed", Detail: "the token is unknown", Status: 401, Count: 1000,
			Reasons: map[string]int{"the token is unknown": 998, "the token was revoked": 2},
		},
		&Execute{
			Caller: alice, Session: of, Program: "make", Argv: []string{"make", "TOKEN=secret"}, Dir: "/home/alice/caf\xe9",
			Set: []string{"CFLAGS", "TOKEN"}, Unset: []string{"LANG"}, Limits: []Limit{{"memory_bytes", 1 << 30}},
			Sandbox: &AskedSandbox{Profile: "build", Files: []string{"none .git"}},
			TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", ParentID: "00f067aa0ba902b7",
		},
		&Started{of, 4811, "cgroup", &Sandbox{
			"build", []string{"workspace"}, "bubblewrap+landlock", "read", "namespace", "allow", "namespace", "own", "bubblewrap", "private", "seccomp", "none", "bubblewrap", "files",
		}},
		&End{Session: of, Record: &Record{
			Status: "failed", Reason: "exited", ExitCode: &code, PID: 4811, SurvivorsVerified: true, ExecutionTime: 1.25,
			UserTime: &userTime, SystemTime: &systemTime, Stdout: 100, Stderr: 20,
		}},
		&Execute{
			Caller: alice, Session: Session{Owner: "alice"}, Program: "/bin/sh", ByShell: true, Shell: "secret",
			Error: Error{Code: -32001, Kind: "forbidden", Rule: "shell", Field: "command"},
		},
		&Control{Caller: carol, Session: of, Action: "SIGNAL", Signal: "SIGINT", To: "leader"},
		&Attach{Caller: carol, Session: of, Action: "read"},
		&Attach{Caller: carol, Session: of, Action: "read", Count: 40},
		&Reload{What: "tokens", File: "/etc/runnel/tokens", Error: "/etc/runnel/tokens:3: token.nam: unknown field"},
		&Destination{Session: of, Host: "proxy.example.org", Port: 443, Address: "203.0.113.9"},
		&Destination{
			Session: of, Host: "proxy.example.org", Port: 443, Address: "203.0.113.9", Final: true, Count: 3, Failed: 0, Up: 1200, Down: 48000,
		},
		&Destination{Session: of, Host: "example.com", Port: 80, Reason: "not_listed", Final: true, Count: 2},
		&File{Caller: alice, Action: "copy", Path: "/home/alice/src/main.go", To: "/home/alice/src/old.go"},
		&HTTP{Caller: alice, Method: "POST", Host: "mcp.example.org", Port: 443, Status: 200},
		&lost{3, 20, 22},
	}
}

// TestDocument: the examples of docs/audit.md are lines as they are written, and there is one of
// each event.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	inside := false
	for line := range strings.Lines(string(page)) {
		switch first := strings.HasPrefix(line, `    {"v":1,`); {
		case first:
			documented = append(documented, line)
			inside = true
		case inside && strings.HasPrefix(line, "     "):
			documented[len(documented)-1] += line
		default:
			inside = false
		}
	}
	synctest.Test(t, func(t *testing.T) { // the time is 2000-01-01
		var q queue
		for i, e := range examples() {
			if _, last := e.(*lost); last {
				q.seq += 3
			}
			var x line
			x.begin(e, MaxLineBytes, false)
			q.add("0a1b2c3d", x.b, true)
			text := q.pending
			q.pending = nil
			if i >= len(documented) {
				t.Fatalf("not documented: %s", text)
			}
			var want, got bytes.Buffer
			if err := json.Compact(&want, []byte(documented[i])); err != nil {
				t.Fatalf("%v: %s", err, documented[i])
			}
			_ = json.Compact(&got, text)
			if got, want := strings.ReplaceAll(got.String(), "\uFFFD", `\ufffd`), want.String(); got != want {
				t.Errorf("the line is\n%s\ndocumented is\n%s", got, want)
			}
		}
		if len(documented) != len(examples()) {
			t.Errorf("%d examples, want %d", len(documented), len(examples()))
		}
	})
}
