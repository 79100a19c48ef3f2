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

// What is not UTF-8 is passed on as it is.
func TestBytesThatAreNotUTF8(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		dir := p.path("d\xe9")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Skip("this file system has no such names:", err)
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
			x := p.started(t, c.env, append([]string{"run"}, c.args...)...)
			same(t, x.rest(), c.want)
			x.exits(0)
			same(t, x.errors(), "")
		}
		x := p.runnel(t, "run", "--cwd", dir+"\xff", "pwd")
		x.exits(125)
		x = p.runnel(t, "run", "\xff")
		x.exits(127)
		x = p.runnel(t, "run", "--label", "a=\xff", "true")
		x.exits(125)
		x.says("label")
	})
}

// started is a runnel with one variable more.
func (p *place) started(t *testing.T, env string, args ...string) *program {
	t.Helper()
	if env == "" {
		return p.runnel(t, args...)
	}
	return p.start(t, "env", append([]string{env, "runnel"}, args...)...)
}

// The name of a variable can't be other than UTF-8 on the wire: it is left out, and that is said.
func TestNameOfAVariableThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.serve(t)
	x := p.started(t, "A\xff=b", "run", "-c", "env | grep -ca '^A.*=b'; exit 3")
	x.expect("0")
	x.exits(3)
	x.says(`environment variable "A\xff" is omitted`)
}

// A server that does not take such bytes is not sent them.
func TestBytesForAnOlderServer(t *testing.T) {
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
