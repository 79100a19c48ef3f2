//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// readOnly is a sandbox in which everything can be read. It needs namespaces.
func readOnly() *sandbox.Config {
	return &sandbox.Config{
		FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.NoNetwork}, Processes: sandbox.Own, Tmp: sandbox.Private,
		Devices: sandbox.MinimalDevices, UnixSockets: sandbox.NoUnixSockets, Metadata: sandbox.WritableMetadata,
	}
}

// sharing is a sandbox that needs no namespaces.
func sharing() *sandbox.Config {
	c := readOnly()
	c.Processes, c.Tmp, c.Metadata = sandbox.Shared, sandbox.Shared, sandbox.FullMetadata
	return c
}

// needNamespaces skips a test if bubblewrap makes no namespaces.
func needNamespaces(t testing.TB, h *Host) {
	t.Helper()
	s := h.SandboxSupport(t.Context())
	if s.By[sandbox.ProcessesPart] == "" {
		skipUnlessRequired(t, "bubblewrap", s.Why[sandbox.ProcessesPart])
	}
}

// withoutNamespaces makes a host use Landlock alone, and skips the test if that is not possible.
func withoutNamespaces(t testing.TB, h *Host) {
	t.Helper()
	_ = h.SandboxSupport(t.Context())
	h.sandboxes.bwrap.Close()
	h.sandboxes.bwrap = bubblewrap.Support{Why: "a test has no bubblewrap"}
	if s := h.SandboxSupport(t.Context()); s.By[sandbox.FilesPart] != sandbox.Landlock {
		skipUnlessRequired(t, "landlock", s.Why[sandbox.FilesPart])
	}
}

// sandboxed returns a spec in namespaces. Its directory is / if it has none.
func sandboxed(spec Spec) Spec { return within(readOnly(), spec) }

func within(c *sandbox.Config, spec Spec) Spec {
	spec.Sandbox = c
	if spec.Dir == "" {
		spec.Dir = "/"
	}
	return spec
}

// eachSandbox runs f with namespaces under each containment, and with Landlock alone.
func eachSandbox(t *testing.T, f func(t *testing.T, h *Host, box func(Spec) Spec)) {
	allHosts(t, func(t *testing.T, h *Host) {
		needNamespaces(t, h)
		f(t, h, sandboxed)
	})
	t.Run("landlock", func(t *testing.T) {
		h := openHost(t, Marker)
		withoutNamespaces(t, h)
		f(t, h, func(spec Spec) Spec { return within(sharing(), spec) })
	})
}

// TestSandboxedExit checks that exit status, signal and usage are those of the command, which is a
// child of this process.
func TestSandboxedExit(t *testing.T) {
	eachSandbox(t, func(t *testing.T, h *Host, box func(Spec) Spec) {
		if _, exit := runOn(t, h, box(sh("exit 200"))); exit.Code != 200 || exit.Signal != 0 || !exit.Known {
			t.Errorf("%+v", exit)
		}
		if _, exit := runOn(t, h, box(sh("kill -SEGV $$"))); exit.Signal != syscall.SIGSEGV || exit.Code != -1 {
			t.Errorf("%+v", exit)
		}
		_, exit := runOn(t, h, box(sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")))
		if exit.UserTime < 10*time.Millisecond {
			t.Errorf("%+v", exit)
		}
		p := startOn(t, h, box(sh("read line; echo $line; exec sleep 60")))
		st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		fields := strings.Fields(string(st))
		if want := []string{strconv.Itoa(os.Getpid()), strconv.Itoa(p.PID()), strconv.Itoa(p.PID())}; err != nil || len(fields) < 6 || !slices.Equal(fields[3:6], want) {
			t.Errorf("parent, group and session are %v, want %v", fields, want)
		}
		if p.Sandbox() == nil || p.Sandbox().Files == "" {
			t.Errorf("%+v", p.Sandbox())
		}
		if err := p.SignalLeader(syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
		_ = p.WaitExit()
		if exit := finish(p); exit.Signal != syscall.SIGUSR1 {
			t.Errorf("%+v", exit)
		}
	})
}

// TestSandboxedAttributes checks stdin, the environment, the directory, attributes and limits.
func TestSandboxedAttributes(t *testing.T) {
	umask, nice := 0o37, 3
	eachSandbox(t, func(t *testing.T, h *Host, box func(Spec) Spec) {
		s := Spec{Argv: []string{"sh", "-c", `cat; env | sort | grep -v -e PWD -e _=; pwd; umask; nice; ulimit -n; ulimit -Sf; ls /proc/self/fd | tr '\n' ' '`}, Env: append([]string{"X=a b"}, testEnv...), Dir: "/usr/bin", Stdin: true,
			Attributes: Attributes{Umask: &umask, Nice: &nice, Soft: SoftLimits{SoftFileBytes: 1 << 20}}, Limits: Limits{OpenFiles: 44}}
		p := startOn(t, h, box(s))
		_, _ = io.WriteString(p.Stdin(), "input\n")
		_ = p.Stdin().Close()
		out, _ := readAll(p.Stdout())
		want := "input\n" + testEnv[0] + "\nX=a b\n/usr/bin\n0037\n3\n44\n2048\n0 1 2 3 "
		if out != want {
			t.Errorf("%q, want %q", out, want)
		}
		finish(p)
	})
}

// TestSandboxedLimits checks that the processes which start a command do not count.
func TestSandboxedLimits(t *testing.T) {
	eachSandbox(t, func(t *testing.T, h *Host, box func(Spec) Spec) {
		if _, err := h.Enforce(Limits{Processes: 1}); err == nil {
			out, exit := runOn(t, h, box(limited(sh("echo one; /bin/true; echo two"), Limits{Processes: 1})))
			if !strings.HasPrefix(out, "one\n") || strings.Contains(out, "two") || exit.Signal != 0 || exit.Code == 0 {
				t.Errorf("output %q, exit %+v", out, exit)
			}
		}
		if by, err := h.Enforce(Limits{MemoryBytes: 1}); err == nil && h.kind == Cgroup {
			_, exit := runOn(t, h, box(limited(sh("x=x; while :; do x=$x$x; done"), Limits{MemoryBytes: 16 << 20})))
			if exit.Signal != syscall.SIGKILL || exit.Limit != MemoryBytes {
				t.Errorf("exit %+v, %v", exit, by)
			}
		}
	})
}

// TestSandboxedUser checks the credentials, and that the rules' files are opened with those rights.
func TestSandboxedUser(t *testing.T) {
	needRoot(t)
	dir := publicDir(t)
	if err := os.MkdirAll(dir+"/private/below", 0o700); err != nil {
		t.Fatal(err)
	}
	eachSandbox(t, func(t *testing.T, h *Host, box func(Spec) Spec) {
		out, _ := runOn(t, h, box(as(alice, sh("id -u; id -g; id -G; grep -E 'Cap(Eff|Bnd)|NoNew' /proc/self/status; echo x >/dev/stdout"))))
		if want := "65533\n65532\n65532 65530 65531\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nx\n"; out != want {
			t.Errorf("%q, want %q", out, want)
		}
		s := box(as(alice, sh("true")))
		s.Sandbox.Files = []sandbox.Rule{{Path: dir + "/private/below", Access: sandbox.Read, Missing: sandbox.Refuse}}
		_, err := h.Start(s)
		if e, ok := errors.AsType[*sandbox.PathError](err); !ok || e.Err != unix.EACCES || e.Path != dir+"/private/below" {
			t.Errorf("%v", err)
		}
		made := dir + "/private/made" // with the rights of the user, although None is opened with those of this process
		s.Sandbox.Files = []sandbox.Rule{{Path: made, Access: sandbox.None, Missing: sandbox.Create}}
		_, err = h.Start(s)
		if e, ok := errors.AsType[*sandbox.PathError](err); !ok || e.Err != unix.EACCES || e.Path != made {
			t.Errorf("%v", err)
		}
		if _, err := os.Lstat(made); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}

// TestSandboxedTerminal checks the controlling terminal, its size, Ctrl-C, and job control.
func TestSandboxedTerminal(t *testing.T) {
	eachSandbox(t, func(t *testing.T, h *Host, box func(Spec) Spec) {
		p := startOn(t, h, box(onTerminal(sh(`trap 'echo interrupted' INT; trap 'stty size' WINCH
			test "$(ps -o sid= -o tpgid= -p $$ | tr -d ' ')" = $$$$ && : </dev/tty && echo ready; while :; do sleep 0.02; done`))))
		readUntil(t, p.Stdout(), "ready\r\n")
		if err := p.Resize(50, 60); err != nil {
			t.Fatal(err)
		}
		readUntil(t, p.Stdout(), "50 60\r\n")
		typeText(t, p, "\x03")
		readUntil(t, p.Stdout(), "interrupted\r\n")
		finish(p)
		p = startOn(t, h, box(onTerminal(Spec{Argv: []string{"/bin/bash", "--norc", "-i"}, Env: append([]string{"PS1=prompt "}, testEnv...)})))
		if !poll(p.WaitsForInput) {
			t.Error("a shell at its prompt does not wait for input")
		}
		typeText(t, p, "sleep 50 &\nsleep 51\n")
		awaitSleep(t, p, "51")
		typeText(t, p, "\x1a")
		readUntil(t, p.Stdout(), "Stopped")
		typeText(t, p, "jobs\n")
		readUntil(t, p.Stdout(), "Running")
		_ = p.Terminate()
		_ = p.WaitExit()
		if r := p.Sweep(t.Context(), patience); len(r.Survivors) > 0 || r.Unverified {
			t.Errorf("%+v", r)
		}
		finish(p)
	})
}

// TestSandboxedTree checks that descendants of a command are signaled, paused, awaited and swept as
// without a sandbox, although their orphans become children of another process.
func TestSandboxedTree(t *testing.T) {
	eachSandbox(t, func(t *testing.T, h *Host, box func(Spec) Spec) {
		s := box(sh(`(setsid sh -c 'trap "echo term; exit" TERM; echo ready; while :; do sleep 0.02; done' &) ; exec sleep 60`))
		p := startOn(t, h, s)
		readUntil(t, p.Stdout(), "ready\n")
		if h.kind != Group {
			if pids, err := p.Members(); len(pids) < 2 || err != nil {
				t.Errorf("members %v, %v", pids, err)
			}
			if err := p.Pause(); err != nil {
				t.Error(err)
			}
			if err := p.Resume(); err != nil {
				t.Error(err)
			}
		}
		_ = p.SignalLeader(syscall.SIGKILL)
		_ = p.WaitExit()
		if h.kind != Group {
			if is, err := p.Alive(); !is || err != nil {
				t.Errorf("alive: %v, %v", is, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			p.AwaitTree(ctx)
			if ctx.Err() == nil {
				t.Error("AwaitTree did not wait")
			}
			cancel()
			if r := p.Sweep(t.Context(), patience); !r.Found || r.Escalated || len(r.Survivors) > 0 || r.Unverified {
				t.Errorf("%+v", r)
			}
			readUntil(t, p.Stdout(), "term\n")
		}
		finish(p)
	})
}

// TestSandboxEndsWithProcess checks that closing kills what has left the tree.
func TestSandboxEndsWithProcess(t *testing.T) {
	h := openHost(t, Group)
	needNamespaces(t, h)
	p := startOn(t, h, sandboxed(sh(`setsid sh -c 'trap "" TERM HUP; echo ready; exec sleep 612' & read line; exit 0`)))
	readUntil(t, p.Stdout(), "ready\n")
	_ = p.Kill()
	_ = p.WaitExit()
	p.Sweep(t.Context(), 0)
	if _, err := p.Reap(); err != nil {
		t.Error(err)
	}
	sleeps := func() bool {
		out, _ := exec.Command("pgrep", "-f", "^sleep 612$").Output()
		return len(out) > 0
	}
	if !poll(sleeps) {
		t.Error("the process that has left the group is not alive")
	}
	p.Close()
	if !poll(func() bool { return !sleeps() }) {
		t.Error("a process is left")
	}
}

// TestSandboxErrors checks what refuses a start, and that the error names what was asked for.
func TestSandboxErrors(t *testing.T) {
	h := openHost(t, Marker)
	needNamespaces(t, h)
	dir := publicDir(t)
	if err := errors.Join(os.Mkdir(dir+"/real", 0o755), os.Symlink("real", dir+"/link"), os.WriteFile(dir+"/script", []byte("#!/bin/true\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	rule := func(path string, a sandbox.Access, m sandbox.Missing) func(*sandbox.Config) {
		return func(c *sandbox.Config) { c.Files = append(c.Files, sandbox.Rule{Path: path, Access: a, Missing: m}) }
	}
	for name, c := range map[string]struct {
		change func(*sandbox.Config)
		spec   Spec
		want   string
	}{
		"missing":           {rule(dir+"/none", sandbox.Read, sandbox.Refuse), sh("true"), "sandbox: " + dir + "/none: no such file or directory"},
		"missing directory": {rule(dir+"/none/x", sandbox.Write, sandbox.Create), sh("true"), "sandbox: " + dir + "/none/x: no such file or directory"},
		"hidden directory":  {nil, Spec{Argv: []string{"/bin/true"}, Dir: dir}, `sandbox "` + dir + `": no such file or directory`},
		"hidden program":    {nil, Spec{Argv: []string{dir + "/script"}}, `sandbox "` + dir + `/script": no such file or directory`},
		"hidden link":       {rule(dir+"/link", sandbox.None, sandbox.Refuse), Spec{Argv: []string{"/bin/true"}, Dir: dir + "/real"}, `sandbox "` + dir + `/real": no such file or directory`},
		"beyond the floor": {func(c *sandbox.Config) {
			rule(dir+"/link", sandbox.Write, sandbox.Skip)(c)
			c.Floor = readOnly()
			rule(dir+"/link", sandbox.Write, sandbox.Skip)(c.Floor)
			c.Floor.Files = append(c.Floor.Files, sandbox.Rule{Path: dir + "/real", Access: sandbox.Read, Missing: sandbox.Skip})
		}, sh("true"), "sandbox.files[0] asks for more than is permitted"},
		"no program": {nil, Spec{Argv: []string{"/none"}}, `exec "/none": no such file or directory`},
	} {
		t.Run(name, func(t *testing.T) {
			s := sandboxed(c.spec)
			if c.change != nil {
				c.change(s.Sandbox)
			}
			p, err := h.Start(s)
			if err == nil {
				finish(p)
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	withoutNamespaces(t, h)
	for field, change := range map[string]func(*sandbox.Config){
		"processes": func(c *sandbox.Config) { c.Processes = sandbox.Own },
		"tmp":       func(c *sandbox.Config) { c.Tmp = sandbox.Private },
		"network":   func(c *sandbox.Config) { c.Network.Mode = sandbox.AllowList },
		"unix_sockets": func(c *sandbox.Config) { // the sockets of this server could be reached
			c.UnixSockets, c.Network.Mode = sandbox.FullUnixSockets, sandbox.FullNetwork
		},
		"metadata": func(c *sandbox.Config) {
			rule(dir, sandbox.Write, sandbox.Refuse)(c)
			c.Metadata = sandbox.WritableMetadata
		},
	} {
		s := within(sharing(), sh("true"))
		change(s.Sandbox)
		_, err := h.Start(s)
		_, enforceErr := h.EnforceSandbox(s.Sandbox)
		for _, err := range []error{err, enforceErr} {
			if e, ok := errors.AsType[*sandbox.NotEnforceableError](err); !ok || e.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
}

// TestSandboxFiles checks that the rules apply, links are followed, directories are made, and the files
// of this server are hidden.
func TestSandboxFiles(t *testing.T) {
	state := t.TempDir()
	if err := os.WriteFile(state+"/secret", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := publicDir(t)
	if err := errors.Join(os.MkdirAll(dir+"/real/ro", 0o777), os.Symlink("real", dir+"/link"), os.Mkdir(dir+"/none", 0o777), os.WriteFile(dir+"/real/keys", nil, 0o666)); err != nil {
		t.Fatal(err)
	}
	h := openHostWith(t, Options{Containment: Marker, HideFromSandboxes: []string{state}, ReadOnlyInSandboxes: []string{dir + "/link/keys"}})
	needNamespaces(t, h)
	s := within(sharing(), sh("cd "+dir+`; echo x >link/a && echo y >real/b && cat real/a link/b; echo z >new/c && cat new/c
		touch c link/ro/x 2>/dev/null && echo written; { echo >>real/keys; } 2>/dev/null && echo written; ls none `+state+` `+strings.Join(h.sandboxes.hidden, " ")+` 2>/dev/null; true`))
	s.Sandbox.Files = []sandbox.Rule{
		{Path: dir + "/link", Access: sandbox.Write, Missing: sandbox.Refuse}, {Path: dir + "/real/ro", Access: sandbox.Read, Missing: sandbox.Refuse},
		{Path: dir + "/new", Access: sandbox.Write, Missing: sandbox.Create}, {Path: dir + "/skipped", Access: sandbox.Write, Missing: sandbox.Skip},
		{Path: dir + "/none", Access: sandbox.None, Missing: sandbox.Refuse},
		{Path: state + "/secret", Access: sandbox.None, Missing: sandbox.Refuse}, // nobody learns whether it exists
		{Path: state + "/missing", Access: sandbox.None, Missing: sandbox.Refuse},
	}
	if out, exit := runOn(t, h, s); out != "x\ny\nz\n" || exit.Code != 0 {
		t.Errorf("%q, %+v", out, exit)
	}
}

// TestSandboxUnreachable checks that a command does not make accessible what the next one may not
// access, by making a directory above it unsearchable for the server.
func TestSandboxUnreachable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: root may search all directories")
	}
	home := t.TempDir()
	for _, file := range []string{"denied/key", "state/server/token", "none/key", "etc/cert", "link/key"} {
		if err := errors.Join(os.MkdirAll(home+"/"+filepath.Dir(file), 0o700), os.WriteFile(home+"/"+file, []byte("original\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("link", home+"/linked"), os.Symlink("../etc/cert", home+"/state/cert")); err != nil {
		t.Fatal(err)
	}
	h := openHostWith(t, Options{Containment: Marker, HideFromSandboxes: []string{home + "/state/server"}, ReadOnlyInSandboxes: []string{home + "/state/cert"}})
	needNamespaces(t, h)
	run := func(script string) string {
		s := within(readOnly(), sh(script))
		s.Dir = home
		s.Sandbox.Hidden = []string{home + "/denied/key", home + "/linked/key"}
		s.Sandbox.Files = []sandbox.Rule{{Path: home, Access: sandbox.Write, Missing: sandbox.Refuse}, {Path: home + "/none/key", Access: sandbox.None, Missing: sandbox.Skip}}
		out, _ := runOn(t, h, s)
		return out
	}
	const dirs = "denied state none etc link"
	restore := func() {
		for _, dir := range strings.Fields(dirs) {
			_ = os.Chmod(home+"/"+dir, 0o700)
		}
	}
	t.Cleanup(restore)
	const use = "chmod 700 " + dirs + " 2>/dev/null; for f in denied/key state/server/token none/key link/key linked/key; do cat $f; echo x >>$f; done 2>/dev/null; { echo x >>etc/cert; } 2>/dev/null; echo end"
	for _, script := range []string{use, "chmod 0 " + dirs + "; echo end", use} {
		if out := run(script); out != "end\n" {
			t.Errorf("%q prints %q", script, out)
		}
	}
	restore()
	for _, file := range []string{"denied/key", "state/server/token", "none/key", "etc/cert", "link/key"} {
		if text, err := os.ReadFile(home + "/" + file); string(text) != "original\n" || err != nil {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

// TestSandboxedDevices checks that devices can be used, and that nobody can change their mode and times,
// nor those of the standard input.
func TestSandboxedDevices(t *testing.T) {
	const script = `cat; echo x >/dev/null && head -c 4 /dev/zero | od -An -tx1 && head -c 3 /dev/urandom | wc -c
		for f in null zero full random urandom tty; do chmod 666 /dev/$f || touch -cd 2001-01-01 /dev/$f || echo $f is refused; done 2>&1 | grep refused
		chmod 666 /proc/self/fd/0 2>/dev/null || echo stdin is refused
		readlink /proc/self/fd/0`
	const want = " 00 00 00 00\n3\nnull is refused\nzero is refused\nfull is refused\nrandom is refused\nurandom is refused\ntty is refused\nstdin is refused\n/dev/null\n"
	allHosts(t, func(t *testing.T, h *Host) {
		needNamespaces(t, h)
		for name, spec := range map[string]Spec{"own user": sh(script), "root": sh(script), "another user": sh(script)} {
			switch {
			case name != "own user" && os.Geteuid() != 0:
				continue
			case name == "root":
				spec.User = &User{}
			case name == "another user":
				spec.User = &User{UID: 12345, GID: 12345}
			}
			if out, exit := runOn(t, h, sandboxed(spec)); out != want || exit.Code != 0 {
				t.Errorf("%s: %q, %+v", name, out, exit)
			}
		}
	})
}

// TestSandboxUnreachableAtTimes checks that no rule loses its effect if the permission to search a
// directory is taken and given while sandboxes are made, also in a working directory that is a link.
func TestSandboxUnreachableAtTimes(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: root may search all directories")
	}
	home := makeDirs(t, "shut", "keys")
	for _, file := range []string{"shut/read", "shut/none", "keys/denied"} {
		if err := os.WriteFile(home+"/"+file, []byte("original\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(".", home+"/self"), os.Symlink("keys/denied", home+"/denied")); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, Marker)
	needNamespaces(t, h)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for mode := os.FileMode(0); ; mode ^= 0o700 {
			_ = errors.Join(os.Chmod(home+"/shut", mode), os.Chmod(home+"/keys", mode))
			select {
			case <-stop:
				_ = errors.Join(os.Chmod(home+"/shut", 0o700), os.Chmod(home+"/keys", 0o700))
				return
			default:
			}
		}
	}()
	profile := sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}, {Path: "shut/read", Access: sandbox.Read}, {Path: "shut/none", Access: sandbox.None}}}
	started := 0
	for range rounds(30, 300) {
		s := within(fromProfile(t, home+"/self", profile)(), sh("for i in 1 2 3 4 5; do cat shut/none keys/denied; echo x >>shut/read; done 2>/dev/null; echo end"))
		s.Dir, s.Sandbox.Hidden = home+"/self", []string{home + "/denied"}
		out, err := outputOn(h, s)
		if err == nil && out != "end\n" {
			t.Errorf("%q", out)
		}
		if err == nil {
			started++
		}
	}
	close(stop)
	<-stopped
	if text, err := os.ReadFile(home + "/shut/read"); string(text) != "original\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	t.Logf("%d started", started)
}

// TestSandboxInPrivateTmp checks that a command whose directory is /tmp is in its own.
func TestSandboxInPrivateTmp(t *testing.T) {
	h := openHost(t, Marker)
	needNamespaces(t, h)
	s := within(readOnly(), sh("pwd; ls -A; touch file && ls -A /tmp"))
	s.Dir = "/tmp"
	if out, exit := runOn(t, h, s); out != "/tmp\nfile\n" || exit.Code != 0 {
		t.Errorf("%q, %+v", out, exit)
	}
}

// TestSandboxTmpBytes checks that the private directories are bounded.
func TestSandboxTmpBytes(t *testing.T) {
	h := openHostWith(t, Options{Containment: Marker, SandboxTmpBytes: 1 << 20})
	needNamespaces(t, h)
	s := sandboxed(sh(`for dir in /tmp /var/tmp /dev/shm; do head -c 1048576 /dev/zero >$dir/file && echo x >$dir/more 2>/dev/null && echo $dir; done; true`))
	if out, exit := runOn(t, h, s); out != "" || exit.Code != 0 {
		t.Errorf("%q, %+v", out, exit)
	}
}

// TestSandboxConnections checks that connections from inside are accepted, and the variables are set.
func TestSandboxConnections(t *testing.T) {
	h := openHost(t, Marker)
	needNamespaces(t, h)
	var listener net.Listener
	s := sandboxed(sh(`exec 3<>/dev/tcp/${PROXY%:*}/${PROXY#*:}; cat <&3; echo $X`))
	s.Argv[0] = "/bin/bash"
	s.Env = append([]string{"X=a", "PROXY=old"}, s.Env...)
	s.Sandbox.Network = sandbox.Network{Mode: sandbox.AllowList}
	s.Connections = func(l net.Listener) []string {
		listener = l
		return []string{"PROXY=" + l.Addr().String()}
	}
	p := startOn(t, h, s)
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "from outside\n")
	_ = c.Close()
	if out, _ := readAll(p.Stdout()); out != "from outside\na\n" {
		t.Errorf("%q", out)
	}
	finish(p)
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// TestSandboxedPeer checks that a process in a sandbox is known to belong to its tree, also if it has
// left everything.
func TestSandboxedPeer(t *testing.T) {
	allHosts(t, func(t *testing.T, h *Host) {
		needNamespaces(t, h)
		l := listen(t)
		for _, ways := range []string{"", "child setsid", "orphan setsid", "orphan setsid unmark"} {
			s := l.peerSpec("tag of "+ways, ways)
			s.Dir, s.Sandbox = "/", readOnly()
			s.Sandbox.UnixSockets = sandbox.FullUnixSockets
			exe, _ := os.Executable()
			s.Argv, s.Env = []string{exe}, append(s.Env, peerParent+"=-1") // the parent of the command is 0 inside
			s.Sandbox.Files = []sandbox.Rule{{Path: filepath.Dir(exe), Access: sandbox.Read, Missing: sandbox.Refuse},
				{Path: filepath.Dir(l.Addr().String()), Access: sandbox.Write, Missing: sandbox.Refuse}}
			p := startOn(t, h, s)
			_ = l.SetDeadline(time.Now().Add(patience))
			c, err := l.AcceptUnix()
			if err != nil {
				t.Fatalf("%q: %v", ways, err)
			}
			if tag, found, err := h.TagOfPeer(c); tag != s.Tag || !found || err != nil {
				t.Errorf("%q: %v, %v, %v", ways, tag, found, err)
			}
			_ = c.Close()
			finish(p)
		}
	})
}

// mounts counts the mounts of this process.
func mounts() int {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	return strings.Count(string(text), "\n")
}

// inMounts counts the processes of the machine in whose mount namespace something is mounted at a path.
func inMounts(path string) (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, file := range files {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), " "+path+" ") {
			n++
		}
	}
	return n
}

// TestSandboxStorm starts many sandboxes at once, and cancels half of them at any time. Nothing may be
// left.
func TestSandboxStorm(t *testing.T) {
	h := openHost(t, Auto)
	needNamespaces(t, h)
	dir := publicDir(t)
	if err := os.Mkdir(dir+"/kept", 0o755); err != nil {
		t.Fatal(err)
	}
	config := readOnly()
	config.Files = []sandbox.Rule{{Path: dir, Access: sandbox.Write}, {Path: dir + "/kept", Access: sandbox.Read}}
	settle := func() (int, int, int) {
		files := slices.DeleteFunc(descriptors(), func(d string) bool { // leaves and lists that are kept for the next start
			return strings.Contains(d, ":/sys/fs/cgroup/") || strings.HasSuffix(d, "/children")
		})
		return len(children()), len(files), mounts()
	}
	c0, d0, m0 := settle()
	var wg sync.WaitGroup
	var mu sync.Mutex
	ended := make(map[string]int)
	atOnce := make(chan struct{}, 50)
	for i := range rounds(100, 500) {
		wg.Go(func() {
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 1 { // at any time of the start, which takes longest with the race detector
				defer time.AfterFunc(time.Duration(i*i%997)*time.Millisecond, cancel).Stop()
			}
			spec := within(config, sh("sleep 0.01; exit 7"))
			if i%3 == 0 {
				spec = onTerminal(spec)
			}
			p, err := h.Attempt(spec).Start(ctx)
			result := "canceled"
			switch {
			case err == nil:
				exit := finishGently(p)
				result = fmt.Sprint(exit.Code)
			case !errors.Is(err, context.Canceled):
				result = err.Error()
			}
			mu.Lock()
			ended[result]++
			mu.Unlock()
		})
	}
	wg.Wait()
	t.Log(ended)
	if len(ended) != 2 || ended["7"] == 0 || ended["canceled"] == 0 {
		t.Errorf("%v", ended)
	}
	if !poll(func() bool { c, d, m := settle(); return c <= c0 && d <= d0 && m <= m0 }) {
		c, d, m := settle()
		t.Errorf("children %d → %d, descriptors %d → %d, mounts %d → %d", c0, c, d0, d, m0, m)
	}
	// Namespaces last as long as processes in them, or descriptors and mounts of them.
	if !poll(func() bool { return inMounts(dir) == 0 }) {
		t.Errorf("%d processes are left in namespaces of sandboxes", inMounts(dir))
	}
	if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
		t.Errorf("the workspace has %v, %v", left, err)
	}
}

// finishGently waits for the exit.
func finishGently(p *Process) Exit {
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, _ := p.Reap()
	p.Close()
	return exit
}

// TestSandboxKilled kills the processes of a sandbox, one of them at any time during the start and
// afterwards. No start hangs, and nothing is left.
func TestSandboxKilled(t *testing.T) {
	allHosts(t, func(t *testing.T, h *Host) {
		needNamespaces(t, h)
		before := children()
		began := time.Now()
		runOn(t, h, sandboxed(sh("true")))
		duration := time.Since(began)
		ended := make(map[string]int)
		n := rounds(15, 100)
		for i := range n {
			killed := make(chan struct{})
			time.AfterFunc(duration*time.Duration(i)/time.Duration(n), func() {
				defer close(killed)
				var mine []int
				for _, pid := range children() {
					if !slices.Contains(before, pid) {
						mine = append(mine, pid)
					}
				}
				if len(mine) > 0 {
					_ = unix.Kill(mine[i%len(mine)], unix.SIGKILL)
				}
			})
			spec := sandboxed(sh("sleep 0.01; exit 7"))
			if i%3 == 0 {
				spec = onTerminal(spec)
			}
			p, err := h.Start(spec)
			result := fmt.Sprintf("%T", err)
			if err == nil {
				exit := finishGently(p)
				result = fmt.Sprint(exit.Code, exit.Signal)
			}
			ended[result]++
			<-killed
			if !poll(func() bool { return len(children()) <= len(before) }) {
				for _, pid := range children() {
					status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
					t.Logf("%d: %s", pid, status)
				}
				t.Fatalf("%v are left after %v", children(), err)
			}
		}
		t.Log(ended)
		p := startOn(t, h, sandboxed(sh("exec sleep 60")))
		_ = unix.Kill(p.preparation.(*confined).helper, unix.SIGKILL) // bubblewrap, and the holder with it
		if exit := finishGently(p); exit.Signal != syscall.SIGKILL {
			t.Errorf("%+v", exit)
		}
	})
}

// TestSandboxSupport checks the end of a wait for the probe, and the probe of a nil Host.
func TestSandboxSupport(t *testing.T) {
	h := openHost(t, Group)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s := h.SandboxSupport(ctx); len(s.By) > 0 {
		t.Errorf("%+v", s)
	}
	_ = (*Host)(nil).Close()
	if s := (*Host)(nil).SandboxSupport(t.Context()); len(s.By)+len(s.Why) != len(sandbox.Parts) {
		t.Errorf("%+v", s)
	}
}
