package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// decoded is a line as a reader gets it. It fails the test if the line is not one valid line.
func decoded(t *testing.T, text []byte, most int) map[string]any {
	t.Helper()
	if len(text) > most || bytes.Count(text, []byte{'\n'}) != 1 || text[len(text)-1] != '\n' {
		t.Fatalf("%d bytes, or not one line: %.200q", len(text), text)
	}
	for _, r := range string(text[:len(text)-1]) {
		if !strconv.IsPrint(r) {
			t.Fatalf("%U is not escaped", r)
		}
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil || !utf8.Valid(text) {
		t.Fatalf("%v: %.200q", err, text)
	}
	return m
}

func encoded(e Event, most int, full bool) []byte {
	var q queue
	var x line
	x.begin(e, most, full)
	q.add("0a1b2c3d", x.b, true)
	return q.pending
}

// original returns a text from the member with its bytes, if there is one.
func original(t *testing.T, text, exact any) string {
	t.Helper()
	if exact == nil {
		return text.(string)
	}
	b, err := base64.StdEncoding.DecodeString(exact.(string))
	if err != nil || strings.ToValidUTF8(string(b), "\uFFFD") != strings.ToValidUTF8(text.(string), "") && utf8.Valid(b) {
		t.Fatalf("%q is not %q (%v)", b, text, err)
	}
	return string(b)
}

func FuzzLine(f *testing.F) {
	f.Add("/bin/sh", "-c", "x\n{\"v\":1}\x1b[2J\u202e\u2028\x7f\u009b", "/tmp/\xff", "NAME\x00", false)
	f.Add("a\\\"b", strings.Repeat("\x01", 9000), strings.Repeat("\xfe", 9000), strings.Repeat("é", 900), strings.Repeat("𝒳\U000e0001", 3000), true)
	f.Add("", "", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\uFFFD", true)
	f.Fuzz(func(t *testing.T, program, a, b, dir, name string, syslog bool) {
		most := MaxLineBytes
		if syslog {
			most = maxSyslogLine
		}
		caller := Caller{access.Identity{Principal: name, Credential: a}, Peer{access.Peer{Known: true, UID: -1}, b, dir}, name}
		problem := Error{-32001, a, b, dir}
		named := []string{a, b, name, a, b, name}
		for _, e := range []Event{
			&Start{Version: a, PID: 1 << 30, Listen: named},
			&Stop{},
			&Reload{What: a, File: b, Error: dir},
			&Connection{Caller: caller, Action: ActionClose, Path: a, Reason: b, Detail: dir, Error: problem, Count: 1 << 40},
			&Refusal{Peer: caller.Peer, Reason: a, Detail: b, Status: 401, Count: 1 << 40, Reasons: map[string]int{"one": 1, "two": 2}},
			&Control{caller, Session{a, b}, a, b, dir, problem, 1 << 40},
			&Attach{caller, Session{a, b}, a, problem, 1 << 40},
			&HTTP{caller, a, b, 1 << 16, 200, problem, 1 << 40},
			&Started{Session{a, b}, 1 << 30, dir, &Sandbox{a, named, a, b, a, b, a, b, a, b, a, b, a, b}},
			&Destination{Session{a, b}, a, 1, b, dir, true, 1 << 40, 1 << 40, 1 << 40, 1 << 40},
			&End{Session{a, b}, problem, &Record{Status: a, Reason: b, Limit: dir, Signal: &a, Survivors: make([]int, 1000)}},
			&Execute{Caller: caller, Session: Session{a, b}, Program: program, ByShell: true, Shell: a, Dir: dir, Set: named, Unset: named, User: a, Error: problem, Sandbox: &AskedSandbox{a, named, b, a, named, b, a, b, a}},
		} {
			decoded(t, encoded(e, most, true), most)
		}
		x := &Execute{Program: program, Argv: []string{program, a, b}, Dir: dir, Set: []string{name}}
		if strings.Contains(string(encoded(x, most, false)), `"argv"`) {
			t.Error("arguments in a line without full commands")
		}
		m := decoded(t, encoded(x, most, true), most)
		cut := m["truncated"] != nil
		for key, want := range map[string]string{"program": program, "cwd": dir} {
			if want == "" {
				continue
			}
			if got := original(t, m[key], m[key+"_base64"]); !strings.HasPrefix(want, got) || !cut && got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if program == "" {
			return
		}
		argv := m["argv"].([]any)
		exact, _ := m["argv_base64"].([]any)
		if !cut && len(argv) != 3 {
			t.Errorf("argv is %q", argv)
		}
		for i, text := range argv {
			var e any
			if exact != nil {
				e = exact[i]
			}
			if got := original(t, text, e); !strings.HasPrefix(x.Argv[i], got) || !cut && got != x.Argv[i] {
				t.Errorf("argument %d is %q, want %q", i, got, x.Argv[i])
			}
		}
	})
}

// TestTruncated: members that are too long are cut, and named.
func TestTruncated(t *testing.T) {
	e := &Execute{Program: strings.Repeat("p", 1<<20), Argv: []string{"x", strings.Repeat("\xff", 1<<20), "y"}, Dir: "/",
		Set: slicesOf("NAME", 10_000)}
	m := decoded(t, encoded(e, MaxLineBytes, true), MaxLineBytes)
	got, _ := json.Marshal(m["truncated"])
	if string(got) != `["program","argv","env"]` {
		t.Errorf("truncated is %s", got)
	}
	if n := len(m["env"].([]any)); n < 500 {
		t.Errorf("%d names of variables", n)
	}
	if n := len(m["program"].(string)); n < 3500 {
		t.Errorf("%d bytes of the program", n)
	}
}

func slicesOf(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func BenchmarkWrite(b *testing.B) {
	l := newLog(Options{}, discard{}, MaxLineBytes)
	defer l.Close()
	e := &Execute{
		Caller:  Caller{access.Identity{Principal: "user", Credential: "uid:1000"}, Peer{Address: "127.0.0.1:9000"}, "c5b5c2f1-9d0e-4c63-a2a4-7d2a52d0b6f5"},
		Session: Session{"20b8f2aa-2b53-43b6-93a8-3fc0f4f7b3c7", "user"}, Program: "/bin/true", Dir: "/home/user/project",
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Write(e)
	}
}

type discard struct{}

func (discard) write(lines []byte) (int, error) { return len(lines), nil }
func (discard) reopen() error                   { return nil }
func (discard) close()                          {}
