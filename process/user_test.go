//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// alice and bob have no accounts, and nothing else runs as them.
var (
	alice = &User{UID: 65533, GID: 65532, Groups: []uint32{65530, 65531}}
	bob   = &User{UID: 65529, GID: 65528}
)

// needRoot skips a test that this user may not run.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		skipUnlessRequired(t, "root", "only root can run commands as other users")
	}
}

// as makes a command run as a user, in /.
func as(u *User, spec Spec) Spec {
	spec.User = u
	if spec.Dir == "" {
		spec.Dir = "/"
	}
	return spec
}

// allHosts runs f under each containment.
func allHosts(t *testing.T, f func(t *testing.T, h *Host)) {
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		t.Run(string(kind), func(t *testing.T) { f(t, openHost(t, kind)) })
	}
}

// publicDir returns a directory that every user may read.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// script writes an executable file.
func script(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUserCredentials(t *testing.T) {
	needRoot(t)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var bounding string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapBnd") {
			bounding = line
		}
	}
	want := "Uid:\t65533\t65533\t65533\t65533\nGid:\t65532\t65532\t65532\t65532\nGroups:\t65530 65531 \n" +
		"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n" + bounding +
		"CapAmb:\t0000000000000000\n"
	const print = `while read line; do case $line in Uid*|Gid*|Groups*|Cap*) echo "$line";; esac; done </proc/self/status`
	allHosts(t, func(t *testing.T, h *Host) {
		for name, s := range map[string]Spec{
			"leader":     sh(print),
			"descendant": sh("setsid sh -c '" + strings.ReplaceAll(print, `"$line"`, `"$line"`) + "' & wait"),
			"limits":     {Argv: sh(print).Argv, Env: testEnv, Limits: Limits{OpenFiles: 40}},
		} {
			out, exit := runOn(t, h, as(alice, s))
			out = strings.ReplaceAll(strings.ReplaceAll(out, " \n", "\n"), " ", " ")
			if out != strings.ReplaceAll(want, " \n", "\n") || exit.Code != 0 {
				t.Errorf("%s: %+v\n%swant\n%s", name, exit, out, want)
			}
		}
	})
}

// TestUserInheritsNothing checks the descriptors, the environment, and the session keyring.
func TestUserInheritsNothing(t *testing.T) {
	needRoot(t)
	h := openHost(t, Marker)
	s := as(alice, Spec{Argv: []string{"ls", "-1", "/proc/self/fd"}, Env: testEnv})
	if out, _ := runOn(t, h, s); out != "0\n1\n2\n3\n" { // 3 is the directory
		t.Errorf("descriptors %q", out)
	}
	s = as(alice, Spec{Argv: []string{"/usr/bin/env"}, Env: []string{"A=1", "B=x y\nz", "EMPTY=", "GODEBUG=inittrace=1"}})
	s.MergeStderr = true // where the Go runtime of the exec step would write, if it got GODEBUG
	if out, _ := runOn(t, h, s); out != strings.Join(s.Env, "\n")+"\n" {
		t.Errorf("environment %q", out)
	}
	s.Env = nil
	if out, _ := runOn(t, h, s); out != "" {
		t.Errorf("environment %q, want none", out)
	}
	const secret = "runnel-test-secret"
	if _, err := unix.AddKey("user", secret, []byte("x"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Skip("SKIPPED, no keyrings: ", err)
	}
	for user, want := range map[*User]bool{nil: true, alice: false} {
		s = Spec{Argv: []string{"cat", "/proc/keys"}, Env: testEnv, Dir: "/", User: user} // the keys that the reader may view
		if out, _ := runOn(t, h, s); strings.Contains(out, secret) != want {
			t.Errorf("user %+v, keys\n%s", user, out)
		}
	}
}

// TestUserOwnsStandardDescriptors checks that a command may open them by name, as scripts do.
func TestUserOwnsStandardDescriptors(t *testing.T) {
	needRoot(t)
	h := openHost(t, Marker)
	s := as(alice, sh(`cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr`))
	s.Stdin = true
	p := startOn(t, h, s)
	_, _ = p.Stdin().WriteString("in\n")
	_ = p.Stdin().Close()
	out, _ := readAll(p.Stdout())
	errors, _ := readAll(p.Stderr())
	if out != "in\nout\n" || errors != "err\n" {
		t.Errorf("stdout %q, stderr %q", out, errors)
	}
	s.Stdin, s.MergeStderr, s.Argv = false, true, sh("echo out >/dev/stdout; echo err >/dev/stderr; stat -Lc %u /dev/stdin").Argv
	if out, _ := runOn(t, h, s); out != "out\nerr\n0\n" {
		t.Errorf("merged: %q", out)
	}
	s = onTerminal(as(alice, sh(`stat -c '%u' $(tty); echo x >/dev/tty; stty size <$(tty); echo end`)))
	p = startOn(t, h, s)
	if got := readUntil(t, p.Stdout(), "end"); strings.TrimSpace(got) != "65533\r\nx\r\n24 80\r\nend" {
		t.Errorf("terminal: %q", got)
	}
}

// TestUserPermissions checks that the directory and the program are found and used with the rights of
// the user, and not with those of root.
func TestUserPermissions(t *testing.T) {
	needRoot(t)
	h := openHost(t, Marker)
	dir := publicDir(t)
	private, shared, group := filepath.Join(dir, "private"), filepath.Join(dir, "public"), filepath.Join(dir, "group")
	for d, mode := range map[string]os.FileMode{private: 0o700, shared: 0o755, group: 0o750} {
		if err := errors.Join(os.Mkdir(d, 0o755), os.Chmod(d, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(group, 0, 65531), os.Symlink(private, filepath.Join(shared, "link"))); err != nil {
		t.Fatal(err)
	}
	script(t, private+"/tool", "#!/bin/sh\necho private\n", 0o755)
	script(t, shared+"/tool", "#!/bin/sh\necho public\n", 0o755)
	script(t, shared+"/roots", "#!/bin/sh\necho root\n", 0o700)
	script(t, shared+"/interpreted", "#!"+private+"/tool\n", 0o755)
	script(t, group+"/tool", "#!/bin/sh\necho group\n", 0o755)
	for _, c := range []struct {
		user      *User
		dir, prog string
		path      string
		want      string // the output, or the error
	}{
		{alice, "/", private + "/tool", "", `exec: permission denied`},
		{alice, "/", shared + "/link/tool", "", `exec: permission denied`},
		{alice, "/", shared + "/roots", "", `exec: permission denied`},
		{alice, "/", shared + "/interpreted", "", `exec: permission denied`},
		{alice, "/", shared + "/tool", "", "public\n"},
		{alice, private, "true", "", `chdir: permission denied`},
		{alice, shared + "/link", "true", "", `chdir: permission denied`},
		{alice, shared, "./tool", "", "public\n"},
		{alice, shared, "../group/tool", "", "group\n"},
		{bob, shared, "../group/tool", "", `exec: permission denied`},
		{alice, "/", "tool", private + ":" + shared, "public\n"}, // as execvp(3)
		{bob, group, "true", "", `chdir: permission denied`},
		{alice, group, "tool", ":" + shared, "group\n"},
		{alice, "/", "none", private + ":" + shared, `exec: permission denied`}, // private cannot be searched
		{alice, "/", "none", shared, `exec: no such file or directory`},
		{alice, "/", shared, "", `exec: permission denied`},
		{alice, dir + "/none", "true", "", `chdir: no such file or directory`},
		{alice, "/", "/proc/self/root/bin/true", "", `exec: too many levels of symbolic links`},
		{alice, "/proc/self/cwd", "true", "", `chdir: too many levels of symbolic links`},
	} {
		spec := Spec{Argv: []string{c.prog}, Env: testEnv, Dir: c.dir, User: c.user}
		if c.path != "" {
			spec.Env = []string{"PATH=" + c.path}
		}
		p, err := h.Start(spec)
		var got string
		if spawn, ok := errors.AsType[*SpawnError](err); ok {
			got = fmt.Sprintf("%s: %v", spawn.Op, spawn.Errno)
		} else if err != nil {
			got = err.Error()
		} else {
			got, _ = readAll(p.Stdout())
			finish(p)
		}
		if got != c.want {
			t.Errorf("%d runs %s in %s with PATH %s: %q, want %q", c.user.UID, c.prog, c.dir, c.path, got, c.want)
		}
	}
}

// TestUserEntersNotTheServersDirectory checks that a command without Dir does not get a directory
// that only this process may enter.
func TestUserEntersNotTheServersDirectory(t *testing.T) {
	needRoot(t)
	t.Chdir(t.TempDir())
	if err := os.Chmod(".", 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := openHost(t, Marker).Start(Spec{Argv: []string{"true"}, Env: testEnv, User: alice})
	if spawn, ok := errors.AsType[*SpawnError](err); !ok || spawn.Op != "chdir" || spawn.Errno != unix.EACCES {
		t.Errorf("error %v", err)
	}
}

// TestUserWithoutPrivilege checks the error of a server that may not change the user, and that it
// may run a command as itself.
func TestUserWithoutPrivilege(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	h := openHost(t, Marker)
	for _, u := range []*User{{UID: 0}, {UID: uint32(os.Getuid()), GID: 0}, {UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Groups: []uint32{0}}} {
		_, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv, User: u})
		if spawn, ok := errors.AsType[*SpawnError](err); !ok || spawn.Op != "user" || spawn.Errno != unix.EPERM || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("user %+v: %v", u, err)
		}
	}
	own := &User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	groups, _ := os.Getgroups()
	for _, g := range groups {
		own.Groups = append(own.Groups, uint32(g))
	}
	if out, exit := runOn(t, h, as(own, sh("id -u"))); out != fmt.Sprintln(os.Getuid()) || exit.Code != 0 {
		t.Errorf("as itself: %q, %+v", out, exit)
	}
}

func TestUserThatIsNone(t *testing.T) {
	h := openHost(t, Group)
	for _, u := range []*User{
		{UID: 1<<32 - 1}, {GID: 1<<32 - 1}, {Groups: []uint32{1, 1<<32 - 1}}, {Groups: make([]uint32, MaxGroups+1)},
	} {
		_, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv, User: u})
		if spawn, ok := errors.AsType[*SpawnError](err); !ok || spawn.Op != "user" || spawn.Errno != unix.EINVAL {
			t.Errorf("user %d %d: %v", u.UID, u.GID, err)
		}
	}
}

// TestUserSupervision checks that the server's signals reach the tree of another user, that its
// processes are found, and that none is left.
func TestUserSupervision(t *testing.T) {
	needRoot(t)
	allHosts(t, func(t *testing.T, h *Host) {
		s := as(alice, sh(`trap 'echo got' URG; setsid sleep 600 & echo $!; sleep 600 & echo $!; while :; do wait; done`))
		s.Attributes.Nice = new(int)
		*s.Attributes.Nice = 3
		p := startOn(t, h, s)
		outside, inside := readPID(t, p.Stdout()), readPID(t, p.Stdout())
		if err := p.Signal(syscall.SIGURG); err != nil {
			t.Error(err)
		}
		if line := readLine(t, p.Stdout()); line != "got" {
			t.Errorf("got %q after SIGURG", line)
		}
		members, err := p.Members()
		all := []int{p.PID(), inside}
		if h.kind != Group {
			all = append(all, outside)
		} else {
			defer func() { _ = syscall.Kill(outside, syscall.SIGKILL) }()
		}
		if err != nil || !containsAll(members, all) {
			t.Errorf("Members() = %v, %v, want %v", members, err, all)
		}
		if err := p.Pause(); err != nil {
			t.Error(err)
		}
		if err := p.Resume(); err != nil {
			t.Error(err)
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || r.Unverified {
			t.Errorf("sweep: %+v", r)
		}
		for _, pid := range all {
			if !poll(func() bool { return !alive(pid) }) {
				t.Errorf("process %d is left", pid)
			}
		}
		exit, err := p.Reap()
		if err != nil || exit.Signal != syscall.SIGKILL {
			t.Errorf("%+v, %v", exit, err)
		}
	})
}

func containsAll(list, wanted []int) bool {
	return !slices.ContainsFunc(wanted, func(n int) bool { return !slices.Contains(list, n) })
}
