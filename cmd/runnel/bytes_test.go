package main

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
)

func FuzzEscapeBytes(f *testing.F) {
	for _, s := range []string{"", "a", "caf\xe9", "\xff\xfe", "\uFFFD", "\U0010FF00\xc3", "\U0010FFFF", "\xf4\x8f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := escapeBytes(s)
		if !utf8.ValidString(escaped) || unescapeBytes(escaped) != s {
			t.Errorf("%q becomes %q and %q", s, escaped, unescapeBytes(escaped))
		}
	})
}

// TestInvalidUTF8: run passes invalid UTF-8 in arguments, the environment and the working directory
// to the command.
func TestInvalidUTF8(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		dir := p.path("d\xe9")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Skip("the file system requires UTF-8 names:", err)
		}
		for _, c := range []struct {
			args []string
			env  string
			want string
		}{
			{[]string{"--", "printf", "%s.", "caf\xe9", "\xff", "\U0010FF41"}, "", "caf\xe9.\xff.\U0010FF41."},
			{[]string{"-c", "echo '\xe9'"}, "", "\xe9\n"},
			{[]string{"--env", "A=\xe9=,", "-c", "echo $A"}, "", "\xe9=,\n"},
			{[]string{"-c", "echo $A"}, "A=a\xff", "a\xff\n"},
			{[]string{"--cwd", dir, "-c", "pwd"}, "", dir + "\n"},
			{[]string{"--cwd=" + dir, "pwd"}, "", dir + "\n"},
		} {
			x := p.runnelWithEnv(t, c.env, append([]string{"run"}, c.args...)...)
			expectEqual(t, x.readAll(), c.want)
			x.expectExit(0)
			expectEqual(t, x.stderrText(), "")
		}
		x := p.runnel(t, "run", "--cwd", dir+"\xff", "pwd")
		x.expectExit(125)
		x = p.runnel(t, "run", "\xff")
		x.expectExit(127)
		x = p.runnel(t, "run", "--label", "a=\xff", "true")
		x.expectExit(125)
		x.expectError("label")
	})
}

// runnelWithEnv starts runnel with an additional environment variable.
func (p *testDir) runnelWithEnv(t *testing.T, env string, args ...string) *program {
	t.Helper()
	if env == "" {
		return p.runnel(t, args...)
	}
	return p.start(t, "env", append([]string{env, "runnel"}, args...)...)
}

// TestInvalidUTF8InAVariableName: such a variable is omitted, with a message.
func TestInvalidUTF8InAVariableName(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	x := p.runnelWithEnv(t, "A\xff=b", "run", "-c", "env | grep -ca '^A.*=b'; exit 3")
	x.expectLine("0")
	x.expectExit(3)
	x.expectError(`environment variable "A\xff" is omitted`)
}

// TestInvalidUTF8ForAnOlderServer: if the server does not accept invalid UTF-8, run fails.
func TestInvalidUTF8ForAnOlderServer(t *testing.T) {
	for what, p := range map[string]rpc.ExecuteParams{
		"command":           {Command: rpc.Command{Shell: "\xff"}},
		"argument":          {Command: rpc.Command{Argv: []string{"true", "\xff"}}},
		"working directory": {Cwd: "/\xff"},
		"value of the environment variable \"A\"": {Env: rpc.Env{"A": new("\xff")}},
	} {
		if err := checkText(&p, false); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if err := checkText(&p, true); err != nil {
			t.Error(err)
		}
	}
}
