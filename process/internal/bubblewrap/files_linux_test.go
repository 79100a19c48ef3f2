package bubblewrap

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/landlock"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// check runs a command inside and compares what it prints, or that it fails.
func check(t *testing.T, n *Namespaces, script, want string) {
	t.Helper()
	if got := n.sh(t, "( "+script+" ) 2>&1 || echo fails"); got != want && (want != "fails" || !strings.HasSuffix(got, "fails")) {
		t.Errorf("%s: %q, want %q", script, got, want)
	}
}

func TestFiles(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "w/f", "w/.env", "w/ro/f", "hidden/f", "hidden/shown/f", "state/token")
		c.Binds = []Bind{
			bind(t, dir+"/hidden/shown", sandbox.Read),
			bind(t, dir+"/w/.env", sandbox.None),
			bind(t, dir+"/w", sandbox.Write),
			bind(t, dir+"/hidden", sandbox.None),
			bind(t, dir+"/w/ro", sandbox.Read),
		}
		c.Hidden = []string{dir + "/state", dir + "/missing"}
		n := mustStart(t, c)
		check(t, n, "cd "+dir+" && echo new >w/new && cat w/new", "new")
		check(t, n, "cat "+dir+"/w/ro/f", "w/ro/f")
		check(t, n, "echo >"+dir+"/w/ro/f", "fails")
		check(t, n, "cat "+dir+"/w/.env", "fails")
		check(t, n, "echo >"+dir+"/w/.env", "fails")
		check(t, n, "rm "+dir+"/w/.env", "fails")
		check(t, n, "mv "+dir+"/w/ro "+dir+"/w/other", "fails")
		check(t, n, "ls "+dir+"/hidden/f", "fails")
		check(t, n, "ls "+dir+"/state/token", "fails")
		check(t, n, "chmod 755 "+dir+"/state", "fails")
		check(t, n, "cat "+dir+"/hidden/shown/f", "hidden/shown/f")
		check(t, n, "echo >"+dir+"/f", "fails")
		if os.Geteuid() != 0 || c.UserNS { // root has no capabilities inside, but may be the owner
			check(t, n, "ls "+dir+"/state", "fails")
		}
		content, err := os.ReadFile(dir + "/w/new")
		if string(content) != "new\n" {
			t.Errorf("outside: %q, %v", content, err)
		}
	})
}

func TestSystemFiles(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		n := mustStart(t, c)
		check(t, n, "ls -A /tmp; echo x >/tmp/f && cat /tmp/f", "x")
		check(t, n, "stat -c %a /tmp /dev/shm", "1777\n1777")
		check(t, n, "echo x >/dev/shm/f && cat /dev/shm/f", "x")
		check(t, n, "echo x >/dev/f", "fails")
		check(t, n, "echo x >/dev/null && head -c1 /dev/zero | wc -c", "1")
		check(t, n, "ls /dev/mem /dev/kmsg", "fails")
		check(t, n, "echo x >/etc/f", "fails")
		check(t, n, "mkdir /sys/fs/cgroup/x", "fails")
		for _, file := range []string{"/proc/sys/kernel/panic", "/proc/sys/vm/drop_caches", "/proc/mtrr"} {
			check(t, n, ": >>"+file, "fails") // opens it for writing
		}
		check(t, n, "cat /proc/sys/kernel/ostype", "Linux")
		check(t, n, "mount -t tmpfs x /tmp", "fails")
	})
}

func TestFilesDefaultNone(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "w/f", "secret")
		c.Sandbox.FilesDefault = sandbox.None
		c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write)}
		c.Dir = identity(t, dir+"/w")
		for _, path := range []string{"/usr", "/bin", "/lib", "/lib64"} {
			switch info, err := os.Lstat(path); {
			case err != nil:
			case info.IsDir():
				c.Binds = append(c.Binds, bind(t, path, sandbox.Read))
			default:
				target, _ := os.Readlink(path)
				c.Links = append(c.Links, Link{path, target})
			}
		}
		n := mustStart(t, c)
		check(t, n, "cat "+dir+"/w/f", "w/f")
		check(t, n, "ls "+dir, "w")
		for parent := dir; parent != "/"; parent = filepath.Dir(parent) {
			if parent != "/tmp" {
				check(t, n, "stat -c %a "+parent, "755")
			}
		}
		check(t, n, "ls /etc", "fails")
		check(t, n, "mkdir /x", "fails")
		check(t, n, "mkdir "+dir+"/x", "fails")
		check(t, n, "echo y >"+dir+"/w/f && cat "+dir+"/w/f", "y")
	})
}

// TestNothingVisible needs that the holder does not depend on what is visible, although it is
// dynamically linked if cgo is used.
func TestNothingVisible(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		c.Sandbox.FilesDefault = sandbox.None
		c.Dir = identity(t, "/") // not the same file
		_, err := Start(context.Background(), c, noMarks)
		if e, ok := errors.AsType[*NotVisibleError](err); !ok || e.Path != "/" {
			t.Errorf("error %v", err)
		}
	})
}

func TestNotVisible(t *testing.T) {
	c := basic(t)
	dir := tree(t, c, "none/f", "program")
	c.Binds = []Bind{bind(t, dir+"/none", sandbox.None)}
	c.Dir = identity(t, dir+"/none")
	for _, f := range []func(){
		func() {},
		func() {
			c.Dir = identity(t, dir)
			c.Programs = []File{identity(t, dir+"/program"), identity(t, dir+"/none/f")}
		},
	} {
		f()
		want := c.Dir.Path
		if c.Programs != nil {
			want = c.Programs[1].Path
		}
		_, err := Start(context.Background(), c, noMarks)
		if e, ok := errors.AsType[*NotVisibleError](err); !ok || e.Path != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	c.Programs = c.Programs[:1]
	if n := mustStart(t, c); len(n.Programs) != 1 || n.Dir < 0 {
		t.Errorf("%+v", n)
	}
}

// TestReplacedPath replaces the path of a rule after it was opened.
func TestReplacedPath(t *testing.T) {
	for name, replace := range map[string]func(dir string) error{ // a directory is a mount point, too
		"link": func(dir string) error { return os.Symlink("../b", dir+"/w/a") },
		"out":  func(dir string) error { return os.Symlink("/usr", dir+"/w/a") },
		"file": func(dir string) error { return os.WriteFile(dir+"/w/a", nil, 0o644) },
		"dir":  func(dir string) error { return os.Mkdir(dir+"/w/a", 0o755) },
		"gone": func(string) error { return nil },
	} {
		replaced := name != "dir" && name != "gone"
		for _, access := range []sandbox.Access{sandbox.Read, sandbox.Write, sandbox.None} {
			t.Run(name+" "+string(access), func(t *testing.T) {
				c := basic(t)
				dir := tree(t, c, "w/a/f", "b/f")
				c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write), bind(t, dir+"/w/a", access)}
				if err := os.Rename(dir+"/w/a", dir+"/moved"); err != nil {
					t.Fatal(err)
				}
				if err := replace(dir); err != nil {
					t.Fatal(err)
				}
				n, err := Start(context.Background(), c, noMarks)
				t.Log(err)
				switch {
				case err == nil && replaced:
					n.Close()
					t.Error("no error")
				case err == nil:
					defer n.Close()
					want := "w/a/f" // of what was opened
					if access == sandbox.None {
						want = "fails"
					}
					check(t, n, "cat "+dir+"/w/a/f", want)
				case !replaced:
					t.Error(err)
				}
			})
		}
	}
}

func TestRefusedBinds(t *testing.T) {
	c := basic(t)
	c.Hidden = []string{"/etc/hidden"}
	for _, b := range []Bind{
		{Path: "/proc/sys", Access: sandbox.Write},
		{Path: "/sys", Access: sandbox.Write},
		{Path: "/proc", Access: sandbox.None},
		{Path: "/", Access: sandbox.None},
		{Path: "/etc/hidden/x", Access: sandbox.Read},
		{Path: "/etc/hidden", Access: sandbox.Write},
	} {
		c.Binds = []Bind{b}
		_, err := Start(context.Background(), c, noMarks)
		if e, ok := errors.AsType[*sandbox.PathError](err); !ok || e.Path != b.Path {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// TestReplacedFile replaces hidden files from outside. What is visible beside them stays visible, with
// what is mounted there.
func TestReplacedFile(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "d/token", "d/rule", "d/beside", "d/sub/f", "d/sub/token", "d/sub/w/f", "private/token", "private/f", "r/token", "r/f", "hidden/token")
		if err := errors.Join(os.Symlink("beside", dir+"/d/link"), os.Chmod(dir+"/private", 0o700)); err != nil {
			t.Fatal(err)
		}
		c.Hidden = []string{dir + "/d/token", dir + "/d/sub/token", dir + "/private/token", dir + "/hidden", dir + "/hidden/token"}
		c.Binds = []Bind{bind(t, dir+"/d/rule", sandbox.None), bind(t, dir+"/d/sub/w", sandbox.Write),
			bind(t, dir+"/r", sandbox.Read), bind(t, dir+"/r/token", sandbox.None)}
		n := mustStart(t, c)
		hidden := []string{"d/token", "d/rule", "d/sub/token", "private/token", "r/token", "hidden/token"}
		for _, name := range hidden {
			check(t, n, "cat "+dir+"/"+name, "fails")
			if err := errors.Join(os.WriteFile(dir+"/new", []byte("new"), 0o644), os.Rename(dir+"/new", dir+"/"+name)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range hidden {
			check(t, n, "cat "+dir+"/"+name, "fails")
		}
		check(t, n, "cd "+dir+"/d && ls && cat link sub/f ../r/f", "beside\nlink\nrule\nsub\ntoken\nd/besided/sub/fr/f")
		check(t, n, "stat -c %a "+dir+"/d "+dir+"/private", "755\n700")
		check(t, n, "cat "+dir+"/private/f", "private/f")
		check(t, n, "echo y >"+dir+"/d/sub/w/f && cat "+dir+"/d/sub/w/f", "y")
		for _, name := range []string{"d/new", "d/beside", "d/sub/f", "r/new"} {
			check(t, n, "echo >"+dir+"/"+name, "fails")
		}
	})
}

// TestNoReplica hides files in directories that cannot be replaced.
func TestNoReplica(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "cwd/token", "cwd/f", "w/token", "many/token", "group/token", "d/token", "d/sub/w/deep/token")
		for i := range maxBeside + 1 {
			if err := os.WriteFile(dir+"/many/"+strconv.Itoa(i), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir+"/group", 0o705); err != nil {
			t.Fatal(err)
		}
		c.Dir = identity(t, dir+"/cwd")
		c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write), bind(t, dir+"/d/sub/w", sandbox.Write)}
		c.Hidden = []string{dir + "/d/token", dir + "/d/sub/w/deep/token", dir + "/cwd/token", dir + "/w/token", dir + "/many/token", dir + "/group/token"}
		mounts, err := c.layout(t.Context(), nil, func(fd int, err error) (int, error) {
			if err == nil {
				t.Cleanup(func() { _ = unix.Close(fd) })
			}
			return fd, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mounts {
			allowed := m.path == dir+"/d" || m.path == dir+"/d/sub" || m.path == dir+"/group" && c.UserNS
			if (m.kind == replica || m.kind == beside) && !allowed {
				t.Errorf("mount %+v", m)
			}
		}
		n := mustStart(t, c)
		for _, path := range c.Hidden {
			check(t, n, "cat "+path, "fails")
		}
		for _, path := range []string{dir + "/w/new", dir + "/d/sub/w/deep/new"} {
			check(t, n, "echo x >"+path+" && cat "+path, "x")
		}
	})
}

func TestRuleset(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "none/f")
		c.Binds = []Bind{bind(t, dir+"/none", sandbox.None)}
		var failed error
		c.Ruleset = func(open func(path string) (int, error)) (int, error) {
			_, failed = open(dir + "/none/f")
			return open("/dev")
		}
		n := mustStart(t, c)
		if failed != unix.ENOENT && failed != unix.EACCES { // EACCES if this process is not root
			t.Errorf("a hidden file: %v", failed)
		}
		var inside, outside unix.Stat_t
		if err := unix.Fstat(n.Ruleset, &inside); err != nil {
			t.Fatal(err)
		}
		if err := unix.Stat("/dev", &outside); err != nil || inside.Dev == outside.Dev {
			t.Errorf("/dev inside is that outside (%v)", err)
		}
	})
	c := basic(t)
	c.Ruleset = func(func(string) (int, error)) (int, error) { return 77, unix.EOPNOTSUPP }
	if _, err := Start(context.Background(), c, noMarks); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("error %v", err)
	}
}

// TestLandlock has a ruleset that is made for the files inside.
func TestLandlock(t *testing.T) {
	if landlock.ABI() < landlock.MinInside {
		proctest.SkipUnlessRequired(t, "landlock", "there is no Landlock")
	}
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "w/f", "r/f")
		for _, name := range []string{"/w", "/r"} {
			if err := unix.Mkfifo(dir+name+"/fifo", 0o666); err != nil {
				t.Fatal(err)
			}
		}
		c.Sandbox.Files = []sandbox.Rule{{Path: dir + "/w", Access: sandbox.Write}}
		c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write)}
		c.Ruleset = func(open func(path string) (int, error)) (int, error) {
			return landlock.Ruleset(c.Sandbox, landlock.Options{Inside: true, Open: open})
		}
		n := mustStart(t, c)
		check(t, n, "cd "+dir+"/w && echo x >f && cat f", "x")
		check(t, n, "echo x >/dev/shm/f && cat /dev/shm/f && echo y >/dev/null", "x")
		check(t, n, "exec 3<>"+dir+"/w/fifo", "")
		check(t, n, "exec 3<>"+dir+"/r/fifo", "fails")
		if c.Sandbox.Tmp == sandbox.Private {
			check(t, n, "echo x >/tmp/f && cat /tmp/f", "x")
		}
	})
}

// TestRenamedParents checks that a command cannot move what is hidden or read-only to another path.
func TestRenamedParents(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "w/a/b/state/token", "w/p/.git/config")
		c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write), bind(t, dir+"/w/p/.git", sandbox.Read)}
		c.Hidden = []string{dir + "/w/a/b/state"}
		c.TmpBytes = 1 << 20
		n := mustStart(t, c)
		for _, script := range []string{"mv a x", "mv a/b x", "mv a/b/state x", "rm -rf a/b/state", "ls a/b/state/token",
			"mv p x", "mv p/.git x", "echo >p/.git/config", "rm -rf p/.git"} {
			check(t, n, "cd "+dir+"/w; "+script, "fails")
		}
		check(t, n, "cd "+dir+"/w; echo x >a/b/f && mv a/b/f a/b/g && cat a/b/g", "x")
		check(t, n, "cd "+dir+"/w; mkdir d && mv d e && mv e p/e && ls p", "e") // copied
		check(t, n, "stat -f -c %b /dev/shm", "256")                            // pages
	})
}
