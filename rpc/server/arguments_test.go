//go:build linux

package server_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

func encoded(s string) object { return object{"base64": base64.StdEncoding.EncodeToString([]byte(s))} }

// TestBytes: the command, the environment and the directory of an execute may contain any bytes.
// The program gets them unchanged, and status reports them exactly.
func TestBytes(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	dir := filepath.Join(t.TempDir(), "caf\xe9")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	argv := []any{"sh", "-c", `printf '%s,%s,%s' "$0" "$1" "$A"; pwd`, encoded("\xff<"), "é"}
	for name, params := range map[string]object{
		"arguments": {"command": argv, "env": object{"A": encoded("\x80"), "B": nil}, "cwd": encoded(dir), "encoding": "base64"},
		"string":    {"command": encoded("printf '%s,%s,%s' '\xff<' 'é' \"$A\"; pwd"), "env": object{"A": encoded("\x80")}, "cwd": encoded(dir), "encoding": "base64"},
	} {
		if out := p.run(params).stdout(); out != "\xff<,é,\x80"+dir+"\n" {
			t.Errorf("%s: %q", name, out)
		}
	}

	id := uuid.NewString()
	params := object{"command": argv, "session_id": id, "labels": object{"a": "b"}}
	p.good(p.call("execute", params))
	var again rpc.ExecuteResult
	if p.ok("execute", params, &again); again.Created {
		t.Error("the same bytes are another command")
	}
	p.fails(-32007, "execute", with(params, "command", append(argv[:4:4], "e")))
	want := []string{"sh", "-c", argv[2].(string), "\xff<", "é"}
	var st rpc.SessionStatus
	p.ok("status", object{"session_id": id}, &st)
	text := rpc.Command{Argv: append(append([]string{}, want[:3]...), "\ufffd<", "é")}
	if !reflect.DeepEqual(st.Command, text) || st.CommandBase64 == nil || !reflect.DeepEqual(st.CommandBase64.Argv, want) {
		t.Errorf("%q, %q", st.Command, st.CommandBase64)
	}
	var plain rpc.SessionStatus
	p.ok("status", object{"session_id": p.start(object{"command": []any{encoded("true")}})}, &plain)
	if plain.Command.Argv[0] != "true" || plain.CommandBase64 != nil {
		t.Errorf("%+v", plain)
	}
	q := s.dial(t)
	spelled := with(params, "session_id", uuid.NewString(), "command", []string{"true"})
	q.good(q.call("execute", spelled))
	if q.ok("execute", with(spelled, "command", []any{encoded("true")}), &again); again.Created {
		t.Error("text in base64 is another command than the text")
	}
}

// TestArgumentThatExecRefuses: an argument that execve(2) refuses is an error that names the
// field.
func TestArgumentThatExecRefuses(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	most := strings.Repeat("x", process.MaxArgument)
	for _, test := range []struct {
		params object
		field  string
	}{
		{object{"command": "a\x00b"}, "command"},
		{object{"command": encoded("a\x00\xff")}, "command"},
		{object{"command": []string{"true", "a\x00b"}}, "command[1]"},
		{object{"command": []any{"true", "", encoded("\x00\xff")}}, "command[2]"},
		{object{"command": "true", "cwd": "/\x00"}, "cwd"},
		{object{"command": "true", "cwd": encoded("/\x00")}, "cwd"},
		{object{"command": "true", "env": object{"A": "\x00"}}, "env.A"},
		{object{"command": "true", "env": object{"A": encoded("\x00")}}, "env.A"},
		{object{"command": "true", "pty": object{"rows": 1, "cols": 1, "term": "\x00"}}, "pty.term"},

		{object{"command": []string{"true", most, most + "x"}}, "command[2]"},
		{object{"command": []string{"true"}, "env": object{"A": most[1:]}}, "env.A"},
		{object{"command": []string{"true"}, "env": object{most[1:]: "A"}}, "env." + most[:128] + "…"},
		{object{"command": []string{"true"}, "pty": object{"rows": 1, "cols": 1, "term": most}}, "pty.term"},
	} {
		if e := p.fails(-32602, "execute", test.params); e.Data["field"] != test.field {
			t.Errorf("field %v, want %s: %.300s", e.Data["field"], test.field, e.Message)
		}
	}
	x := p.run(object{"command": []string{"sh", "-c", "echo ${#0} ${#A}", most}, "env": object{"A": most[2:]}})
	if want := fmt.Sprintln(len(most), len(most)-2); x.stdout() != want {
		t.Errorf("%q", x.stdout())
	}
}

// TestArgumentsTooLong: arguments that are too long together are a spawn error with E2BIG.
func TestArgumentsTooLong(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.MaxMessageBytes = 16 << 20 })
	p := s.dial(t)
	args := []string{"true"}
	for range 100 {
		args = append(args, strings.Repeat("x", 100_000))
	}
	for _, params := range []object{
		{"command": args},
		{"command": args, "limits": object{"open_files": 50}},
		{"command": args, "pty": object{"rows": 1, "cols": 1}},
	} {
		e := p.fails(-32008, "execute", params)
		if e.Data["errno"] != "E2BIG" || e.Data["path"] != "true" || !strings.Contains(e.Message, "argument list too long") {
			t.Errorf("%+v", e)
		}
	}
}
