//go:build linux

package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shells are those of this machine that accept the options of sh(1), with bash and busybox
// called as sh.
func shells(t *testing.T) (list []string) {
	for _, name := range []string{"sh", "dash", "bash", "bash as sh", "busybox as sh"} {
		program, as, _ := strings.Cut(name, " as ")
		path, err := exec.LookPath(program)
		if err != nil {
			t.Logf("NOT TESTED: there is no %s here", name)
			continue
		}
		if real, err := filepath.EvalSymlinks("/bin/sh"); name == "dash" && err == nil && filepath.Base(real) == "dash" {
			continue // it is tested as sh
		}
		if as != "" {
			link := filepath.Join(t.TempDir(), as)
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			path = link
		}
		list = append(list, path)
	}
	return list
}

// exitCode returns that of the record, or -1 if there is none.
func exitCode(x *transcript) int {
	if x.record.ExitCode == nil {
		return -1
	}
	return *x.record.ExitCode
}

// TestLongCommand: a command that is too long for one argument of execve(2) runs like a shorter
// one.
func TestLongCommand(t *testing.T) {
	runParallel(t)
	pad := func(n int) string { // n bytes, a multiple of 20
		return "\n: '" + strings.Repeat("a\n\"ÁÿǑ€𝄞$x`\\", n)[:n] + "'\n"
	}
	for _, shell := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			s := serve(t, func(set *settings) { set.Server.Defaults.Shell = shell })
			p := s.dial(t)
			run := func(command string) string {
				id := p.start(object{"command": command, "stdin": "pipe"})
				p.call("write", object{"session_id": id, "data": "typed\n", "eof": true}) // it may have ended
				x := &transcript{id: id}
				p.follow(x)
				return fmt.Sprintf("%q, %q, %v %v", x.stdout(), x.stderr(), exitCode(x), deref(x.record.Signal))
			}
			for i, command := range []string{
				`echo "$0" "$#" "$*"; cat; echo "$?"; exit 7`,
				`ls /proc/self/fd; readlink /proc/self/fd/0 | cut -d: -f1`,
				`set -e; false; echo no`,
				`trap 'echo "$1 bye"; exit 5' EXIT; set -- a b; exit 2`,
				`kill -TERM $$`,
				"cat <<'E'\n$x \"ÁÿǑ€𝄞`\nE\nf() { echo \"f $# $1\"; return 3; }; f 'a  b'",
				`exit`,
				`(exit 9)`,
			} {
				want := run(command)
				sizes := []int{140_000}
				if i == 0 {
					sizes = append(sizes, 900_000)
				}
				for _, n := range sizes {
					if got := run(pad(n) + command); got != want {
						t.Errorf("%q after %d bytes: %.500s, want %s", command, n, got, want)
					}
				}
			}
			// Text across a cut is complete, wherever the cut is.
			for shift := range 3 {
				text := strings.Repeat("x", shift) + strings.Repeat("ÁÿǑ€𝄞'\\\"$x`\n", 12_000)
				quoted := "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
				for name, command := range map[string]string{
					"quoted":        "printf %s " + quoted,
					"here-document": "cat <<'E'\n" + text + "\nE",
				} {
					x := p.run(object{"command": command, "encoding": "base64"})
					if got := x.stdout(); strings.TrimRight(got, "\n") != strings.TrimRight(text, "\n") {
						t.Errorf("%s of %d bytes, shifted by %d: %d bytes of output, %+v", name, len(command), shift, len(got), x.record)
					}
				}
			}
			// A syntax error is reported with its line.
			x := p.run(object{"command": "echo one\n" + pad(140_000) + "echo $(("})
			if x.stdout() != "one\n" && x.stdout() != "" || exitCode(x) == 0 || x.stderr() == "" {
				t.Errorf("%q, %.200q, %+v", x.stdout(), x.stderr(), x.record)
			}
		})
	}
}

// TestLongestShortCommand: the longest command that fits into one argument, and the next longer
// one.
func TestLongestShortCommand(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	for _, n := range []int{32*4096 - 2, 32*4096 - 1, 32 * 4096, 2 * 32 * 4096} {
		command := "echo $# $0; #"
		x := p.run(object{"command": command + strings.Repeat("x", n-len(command))})
		if x.stdout() != "0 /bin/sh\n" || exitCode(x) != 0 {
			t.Errorf("%d bytes: %q, %+v", n, x.stdout(), x.record)
		}
	}
}

// TestCommandLongerThanArgMax: a command that does not fit into ARG_MAX is refused with the
// kernel's errno.
func TestCommandLongerThanArgMax(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &old); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: 512 << 10, Max: old.Max} // of which a quarter may be arguments
	if err := syscall.Setrlimit(syscall.RLIMIT_STACK, &small); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_STACK, &old)
	s := serve(t)
	e := s.dial(t).fails(-32008, "execute", object{"command": "true #" + strings.Repeat("x", 200_000)})
	if e.Data["errno"] != "E2BIG" || e.Data["path"] != "/bin/sh" {
		t.Errorf("%+v", e)
	}
}
