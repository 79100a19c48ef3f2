//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// spoolDir is the default directory of the spool.
func (p *testDir) spoolDir() string { return p.path(".local/state/runnel/spool") }

// serveWith is testDir.serve with further variables of the environment.
func (p *testDir) serveWith(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	x := p.prepare(t, "runnel", append([]string{"serve", "--listen=127.0.0.1:0", "--ready-file=ready"}, args...)...)
	x.Env = append(x.Env, env...)
	x.startPrepared()
	t.Cleanup(func() { x.signalUntilExit(syscall.SIGTERM) })
	x.awaitReady()
	return x
}

// TestSpoolIsPrivate: only the user of the server has access to what is kept, whatever the umask is.
func TestSpoolIsPrivate(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	x := p.start(t, "sh", "-c", "umask 0; exec runnel serve --listen=127.0.0.1:0 --ready-file=ready")
	t.Cleanup(func() { x.signalUntilExit(syscall.SIGTERM) })
	x.awaitReady()
	run := p.runnel(t, "run", "-c", "head -c 3000000 /dev/zero")
	if n := len(run.readAll()); n != 3000000 {
		t.Errorf("%d bytes", n)
	}
	files := 0
	var err error
	stored := func() bool { // two directories, key, lock, window, journal and an output file
		files = 0
		err = filepath.WalkDir(p.spoolDir(), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
			files++
			return err
		})
		return err == nil && files >= 7
	}
	if !poll(stored) { // the output is written after the command has written it
		t.Errorf("%d files, %v", files, err)
	}
}

// TestSpoolDirectories: which directory the spool is in, and when there is none.
func TestSpoolDirectories(t *testing.T) {
	t.Parallel()
	const none = "nothing is kept on the disk"
	for name, c := range map[string]struct {
		env  []string
		args []string
		make func(t *testing.T, p *testDir)
		in   string // where the spool is
		warn string
	}{
		"home":          {in: ".local/state/runnel/spool"},
		"state":         {env: []string{"STATE_DIRECTORY=DIR/state:DIR/other"}, in: "state/spool"},
		"no home":       {env: []string{"HOME="}, warn: none + ": there is no home directory"},
		"flag":          {args: []string{"--spool-dir=a/b"}, in: "a/b"},
		"flag, no home": {env: []string{"HOME="}, args: []string{"--spool-dir=a"}, in: "a"},
		"none":          {args: []string{"--spool-dir="}},
		"in memory":     {env: []string{"STATE_DIRECTORY=MEMORY"}, warn: "the file system is in memory"},
		"flag, in memory": {
			args: []string{"--spool-dir=MEMORY/spool"}, warn: "--spool-dir is in memory", in: "MEMORY/spool",
		},
		"not a directory": {
			env: []string{"STATE_DIRECTORY=/dev/null"}, warn: none,
		},
		"of nobody else": {
			make: func(t *testing.T, p *testDir) { makeDir(t, p.path("a"), 0o777) },
			env:  []string{"STATE_DIRECTORY=DIR/a"}, in: "a/spool",
		},
		"writable by others": {
			make: func(t *testing.T, p *testDir) { makeDir(t, p.path("spool"), 0o775) },
			env:  []string{"STATE_DIRECTORY=DIR"}, warn: "mode is 0775",
		},
		"a link": {
			make: func(t *testing.T, p *testDir) {
				makeDir(t, p.path("real"), 0o755)
				if err := os.Symlink(p.path("real"), p.path("link")); err != nil {
					t.Fatal(err)
				}
			},
			args: []string{"--spool-dir=link"}, in: "real",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTestDir(t)
			memory := ""
			expand := func(list []string) (all []string) {
				for _, s := range list {
					if memory == "" && strings.Contains(s, "MEMORY") {
						memory = inMemoryDir(t)
					}
					all = append(all, strings.NewReplacer("DIR/", p.dir+"/", "=DIR", "="+p.dir, "MEMORY", memory).Replace(s))
				}
				return all
			}
			env, args := expand(c.env), expand(c.args)
			if c.make != nil {
				c.make(t, p)
			}
			server := p.serveWith(t, env, args...)
			if c.warn != "" {
				server.awaitStderr(c.warn)
			} else if strings.Contains(server.stderrText(), `"level":"warn"`) {
				t.Errorf("warnings: %s", server.stderrText())
			}
			dir := strings.Replace(c.in, "MEMORY", memory, 1)
			if c.in != "" && !filepath.IsAbs(dir) {
				dir = p.path(dir)
			}
			if c.in != "" {
				if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("%v, %v", info, err)
				}
				if _, err := os.Stat(filepath.Join(dir, "key")); err != nil {
					t.Error(err)
				}
			}
			keys, _ := filepath.Glob(p.spoolDir() + "/key")
			if len(keys) > 0 && dir != p.spoolDir() {
				t.Error("the default directory has a spool")
			}
		})
	}
}

func makeDir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // without the umask
		t.Fatal(err)
	}
}

// inMemoryDir returns a directory in a tmpfs.
func inMemoryDir(t *testing.T) string {
	t.Helper()
	if fs, err := statFS("/dev/shm"); err != nil || !fs.inMemory {
		t.Skipf("SKIPPED: /dev/shm is not a tmpfs: %v", err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "rn")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestSpoolInUse: the second server of a user works without the default spool, and does not start with one
// that was asked for.
func TestSpoolInUse(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	second := p.runnel(t, "serve", "--listen=127.0.0.1:0", "--socket="+p.path("second"))
	t.Cleanup(func() { second.signalUntilExit(syscall.SIGTERM) })
	second.awaitStderr("another server uses the directory")
	second.awaitStderr("listening")
	third := p.runnel(t, "serve", "--listen=127.0.0.1:0", "--socket="+p.path("third"), "--spool-dir=./.local/state/runnel/spool")
	third.expectExit(1)
	third.expectError("another server uses the directory")
}

// TestSpoolFlagErrors: what is not valid, or not private, is an error, and not a crash.
func TestSpoolFlagErrors(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	makeDir(t, p.path("shared"), 0o770)
	makeDir(t, p.path("key"), 0o700)
	if err := os.WriteFile(p.path("key/key"), make([]byte, 32), 0o644); err != nil {
		t.Fatal(err)
	}
	type flagCase struct {
		arg     string
		status  int
		message string
	}
	cases := []flagCase{
		{"--spool-bytes=0", 2, "--spool-bytes must be greater than 0"},
		{"--spool-bytes=x", 2, "--spool-bytes: invalid size"},
		{"--spool-total=0", 2, "--spool-total must be greater than 0"},
		{"--spool-retain=-1s", 2, "--spool-retain must be greater than 0"},
		{"--spool-sessions=0", 2, "--spool-sessions must be greater than 0"},
		{"--spool-dir=/dev/null/x", 1, "--spool-dir: mkdir /dev/null"},
		{"--spool-dir=shared", 1, "--spool-dir: shared: mode is 0770"},
		{"--spool-dir=key", 1, "key/key: not a usable key file: mode 0644"},
	}
	if os.Geteuid() == 0 {
		makeDir(t, p.path("other"), 0o700)
		if err := os.Chown(p.path("other"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, flagCase{"--spool-dir=other", 1, "it belongs to the user 65534"})
	}
	for _, c := range cases {
		x := p.runnel(t, "serve", "--listen=127.0.0.1:0", c.arg)
		x.expectExit(c.status)
		x.expectError(c.message)
	}
}
