//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

func TestStartRefused(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	missing := filepath.Join(dir, "missing")
	badInterpreter := filepath.Join(dir, "script")
	write(t, plain, "no program", 0o644)
	write(t, badInterpreter, "#!"+missing, 0o755)
	path := "PATH=" + dir
	before := len(descriptors())
	for name, c := range map[string]struct {
		spec Spec
		want SpawnError
	}{
		"no argv":              {Spec{}, SpawnError{Path: "", Op: "exec", Errno: syscall.EINVAL}},
		"empty program":        {Spec{Argv: []string{""}}, SpawnError{Path: "", Op: "exec", Errno: syscall.ENOENT}},
		"not found":            {Spec{Argv: []string{missing}}, SpawnError{Path: missing, Op: "exec", Errno: syscall.ENOENT}},
		"not in PATH":          {Spec{Argv: []string{"sh"}, Env: []string{path}}, SpawnError{Path: "sh", Op: "exec", Errno: syscall.ENOENT}},
		"not executable":       {Spec{Argv: []string{plain}}, SpawnError{Path: plain, Op: "exec", Errno: syscall.EACCES}},
		"not executable, PATH": {Spec{Argv: []string{"plain"}, Env: []string{path}}, SpawnError{Path: "plain", Op: "exec", Errno: syscall.EACCES}},
		"a directory":          {Spec{Argv: []string{dir}}, SpawnError{Path: dir, Op: "exec", Errno: syscall.EACCES}},
		"no interpreter":       {Spec{Argv: []string{badInterpreter}}, SpawnError{Path: badInterpreter, Op: "exec", Errno: syscall.ENOENT}},
		"cwd missing":          {Spec{Argv: []string{"/bin/true"}, Dir: missing}, SpawnError{Path: missing, Op: "chdir", Errno: syscall.ENOENT}},
		"cwd is a file":        {Spec{Argv: []string{"/bin/true"}, Dir: plain}, SpawnError{Path: plain, Op: "chdir", Errno: syscall.ENOTDIR}},
		"cwd before program":   {Spec{Argv: []string{"./x"}, Dir: missing}, SpawnError{Path: missing, Op: "chdir", Errno: syscall.ENOENT}},
		"NUL in program":       {Spec{Argv: []string{"a\x00b"}}, SpawnError{Path: "a\x00b", Op: "exec", Errno: syscall.EINVAL}},
		"NUL in argument":      {Spec{Argv: []string{"true", "a\x00b"}}, SpawnError{Path: "true", Op: "exec", Errno: syscall.EINVAL}},
		"NUL in env":           {Spec{Argv: []string{"true"}, Env: []string{"A=se\x00cret"}}, SpawnError{Path: "true", Op: "exec", Errno: syscall.EINVAL}},
		"NUL in cwd":           {Spec{Argv: []string{"true"}, Dir: "/\x00"}, SpawnError{Path: "/\x00", Op: "chdir", Errno: syscall.EINVAL}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := (*Host)(nil).Start(c.spec)
			var got *SpawnError
			if p != nil || !errors.As(err, &got) || *got != c.want {
				t.Fatalf("got %v, %#v; want %#v", p, err, c.want)
			}
			if !errors.Is(err, c.want.Errno) || strings.Contains(err.Error(), "secret") || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("error %q", err)
			}
		})
	}
	if after := len(descriptors()); after > before {
		t.Errorf("descriptors %d → %d", before, after)
	}
}

func TestStartOutOfDescriptors(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	before := len(descriptors())
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	for room := range 24 { // each descriptor may be the first that is not available, without and with a merged stderr
		merge := room >= 12
		room %= 12
		limit := syscall.Rlimit{Cur: uint64(before + room), Max: old.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		p, err := (*Host)(nil).Start(Spec{Argv: []string{"/bin/true"}, MergeStderr: merge})
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
		if err == nil {
			finish(p)
		} else if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("room for %d: %v", room, err)
		}
		if after := len(descriptors()); after > before {
			t.Fatalf("room for %d: descriptors %d → %v", room, before, descriptors())
		}
	}
}

func TestEnvIsPassedExactly(t *testing.T) {
	t.Setenv("LEAK", "of the server")
	env := []string{"PATH=/usr/bin:/bin", "EMPTY=", "LINES=a\nb", "EQUALS=a=b", "ODD=\xff"}
	out, _, err := runSpec(Spec{Argv: []string{"env", "-0"}, Env: env})
	if want := strings.Join(env, "\x00") + "\x00"; err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	if out, _, err := runSpec(Spec{Argv: []string{"/usr/bin/env"}}); err != nil || out != "" {
		t.Errorf("nil environment: %q, %v", out, err)
	}
}

func TestProgramIsLookedUpInTheChildsDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"bin", "bin/true", "bin2"} { // the directory bin/true is skipped
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "here"), "#!/bin/sh\necho here", 0o755)
	write(t, filepath.Join(dir, "bin2/true"), "#!/bin/sh\necho mine", 0o755)
	t.Setenv("PATH", "/usr/bin:/bin")
	for name, c := range map[string]struct{ program, path, want string }{
		"PATH of Env":           {"true", dir + "/bin:" + dir + "/bin2:/bin", "mine\n"},
		"relative PATH":         {"true", "bin2", "mine\n"},
		"empty PATH element":    {"here", "/bin:", "here\n"},
		"relative with a slash": {"./here", "/bin", "here\n"},
		"deeper":                {"bin2/true", "/bin", "mine\n"},
	} {
		out, _, err := runSpec(Spec{Argv: []string{c.program}, Dir: dir, Env: []string{"PATH=" + c.path}})
		if err != nil || out != c.want {
			t.Errorf("%s: %q, %v; want %q", name, out, err, c.want)
		}
	}
	if out, _, err := runSpec(Spec{Argv: []string{"sh", "-c", "pwd"}, Dir: dir}); err != nil || out != dir+"\n" {
		t.Errorf("no PATH at all: %q, %v", out, err)
	}
}

func TestStdinPipe(t *testing.T) {
	spec := sh("cat; echo end")
	spec.Stdin = true
	p := mustStart(t, spec, leader.System())
	if _, err := p.Stdin().WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	if got := readLine(t, p.Stdout()); got != "one" {
		t.Errorf("got %q", got)
	}
	_ = p.Stdin().Close()
	if out, err := readAll(p.Stdout()); out != "end\n" || err != nil {
		t.Errorf("after the end of file: %q, %v", out, err)
	}
}

func TestStdinWriteHasADeadline(t *testing.T) {
	spec := sh("sleep 60")
	spec.Stdin = true
	p := mustStart(t, spec, leader.System())
	_ = p.Stdin().SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := p.Stdin().Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write to a full pipe: %v", err)
	}
}

func TestStdinNoneIsDevNull(t *testing.T) {
	p := mustStart(t, sh("readlink /proc/self/fd/0; cat"), leader.System())
	if out, err := readAll(p.Stdout()); out != "/dev/null\n" || err != nil || p.Stdin() != nil {
		t.Errorf("got %q, %v, %v", out, err, p.Stdin())
	}
}

// TestChildInheritsOnlyStandardDescriptors checks that a child has the three standard descriptors,
// which are blocking, and no other ones of this process.
func TestChildInheritsOnlyStandardDescriptors(t *testing.T) {
	other := mustStart(t, sh("sleep 60"), leader.System())
	spec := Spec{Argv: []string{"ls", "/proc/self/fd"}, Env: testEnv, Stdin: true}
	want, _ := exec.Command("ls", "/proc/self/fd").Output() // with what this process has inherited
	if out, _, err := runSpec(spec); err != nil || out != string(want) {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	for fd := range 3 {
		info, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", other.PID(), fd))
		var pos, flags int
		if _, err := fmt.Sscanf(string(info), "pos:\t%d\nflags:\t%o", &pos, &flags); err != nil || flags&syscall.O_NONBLOCK != 0 {
			t.Errorf("descriptor %d: flags %o, %v", fd, flags, err)
		}
	}
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
