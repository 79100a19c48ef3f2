package bubblewrap

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestProtectedPrograms checks that bwrap and this program are read-only below writable directories,
// also where another mount shows them.
func TestProtectedPrograms(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		content, err := os.ReadFile(program(t))
		if err != nil {
			t.Fatal(err)
		}
		eachKind(t, func(t *testing.T, c *Config) {
			dir := tree(t, c, "w/bin/f", "w/own/f", "w/alias/f", "none/f")
			path := dir + "/w/bin/bwrap"
			if err := os.WriteFile(path, content, 0o755); err != nil {
				t.Fatal(err)
			}
			if c.Program, err = OpenProgram(path); err != nil {
				t.Fatal(err)
			}
			defer c.Program.Close()
			mountAt(t, dir+"/w/bin", dir+"/w/alias")
			write := bind(t, dir+"/w", sandbox.Write)
			c.Binds = []Bind{write}
			n := mustStart(t, c)
			for _, script := range []string{"echo >>bin/bwrap", "echo >>alias/bwrap", "rm bin/bwrap", "mv bin/f bin/bwrap", "mv bin x", "chmod 777 bin/bwrap"} {
				check(t, n, "cd "+dir+"/w; "+script, "fails")
			}
			check(t, n, "cd "+dir+"/w; echo x >bin/f && cat alias/f && bin/bwrap --version >f && echo y", "x\ny")

			c.Binds = []Bind{write, bind(t, path, sandbox.Write)}
			_, err := Start(context.Background(), c, noMarks)
			if e, ok := errors.AsType[*sandbox.PathError](err); !ok || e.Path != path || !errors.Is(e, unix.EPERM) {
				t.Errorf("a rule for it: %v", err)
			}
			c.Binds = []Bind{write, bind(t, dir+"/w/bin", sandbox.None)}
			check(t, mustStart(t, c), "cat "+path, "fails")
		})
	})
}

// TestReadOnlyFiles checks that files that are to be read-only are, by whatever name.
func TestReadOnlyFiles(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "w/sub/keys", "w/f")
		if err := os.Symlink("w/sub/keys", dir+"/link"); err != nil {
			t.Fatal(err)
		}
		c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write)}
		c.ReadOnly = []string{dir + "/link", dir + "/missing"}
		n := mustStart(t, c)
		check(t, n, "cat "+dir+"/w/sub/keys", "w/sub/keys")
		for _, script := range []string{"echo >>sub/keys", "rm sub/keys", "mv f sub/keys", "mv sub x"} {
			check(t, n, "cd "+dir+"/w; "+script, "fails")
		}
	})
}

// TestProtectedFiles has what is protected everywhere.
func TestProtectedFiles(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		c.Sandbox.Tmp = sandbox.Shared // the program of a test is there
		c.Binds = []Bind{bind(t, "/", sandbox.Write)}
		n := mustStart(t, c)
		for _, path := range c.protected() {
			if _, err := os.Stat(path); err == nil {
				check(t, n, "test -w "+path, "fails") // no attempt: it would change the machine
			}
		}
	})
}
