package bubblewrap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// mountsVariable is set in the process that has a mount namespace of its own for a test.
const mountsVariable = "RUNNEL_TEST_MOUNTS"

// inOwnMounts runs f in a process in which mounts are not seen by others.
func inOwnMounts(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(mountsVariable) != "" {
		f(t)
		return
	}
	program(t)
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mountsVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // private, too
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("this process may not mount")
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func mountAt(t *testing.T, source, target string) {
	t.Helper()
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// TestOtherMounts checks that what is hidden is hidden where other mounts show it, or a part of it, or
// the directory above it.
func TestOtherMounts(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		eachKind(t, func(t *testing.T, c *Config) {
			dir := tree(t, c, "state/sub/token", "state/token", "none/f", "none/shown/f", "w/f", "file",
				"m/state/x", "m/part/x", "m/above/x", "m/none/x", "m/named/x", "m/file", "w/state/x")
			m := dir + "/m"
			mountAt(t, dir+"/state", m+"/state")
			mountAt(t, dir+"/state/sub", m+"/part")
			mountAt(t, dir, m+"/above")
			mountAt(t, dir+"/none", m+"/none")
			mountAt(t, dir+"/none", m+"/named")
			mountAt(t, dir+"/file", m+"/file")
			mountAt(t, dir+"/state", dir+"/w/state")
			c.Hidden = []string{dir + "/state", dir + "/file"}
			c.Binds = []Bind{bind(t, dir+"/none", sandbox.None), bind(t, dir+"/none/shown", sandbox.Read),
				bind(t, m+"/named", sandbox.Read), bind(t, dir+"/w", sandbox.Write)}
			n := mustStart(t, c)
			for _, path := range []string{"state/token", "m/state/token", "m/part/token", "m/above/state/token", "m/above/file",
				"m/above/none/f", "m/none/f", "m/none/shown/f", "m/file", "file", "w/state/token"} {
				check(t, n, "cat "+dir+"/"+path, "fails")
			}
			check(t, n, "cat "+dir+"/none/shown/f", "none/shown/f")
			check(t, n, "cat "+m+"/named/f", "none/f") // a rule is for this path
			check(t, n, "cat "+m+"/above/w/f", "w/f")
			check(t, n, "echo >"+dir+"/w/state/new", "fails")

			c.Binds = []Bind{bind(t, m+"/state/sub", sandbox.Read)}
			if _, err := c.layout(t.Context(), nil, keeper(t)); !errors.Is(err, unix.EACCES) {
				t.Errorf("a rule for what is hidden: %v", err)
			}
		})
	})
}

// TestTooManyMounts checks that a path of what is hidden that exceeds the bound is an error.
func TestTooManyMounts(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		c := basic(t)
		dir := tree(t, c, "state/token")
		for i := range procfs.MaxPaths + 1 {
			target := fmt.Sprintf("%s/m%d", dir, i)
			if err := os.Mkdir(target, 0o755); err != nil {
				t.Fatal(err)
			}
			mountAt(t, dir+"/state", target)
		}
		c.Hidden = []string{dir + "/state"}
		if _, err := c.layout(t.Context(), nil, keeper(t)); !isNotEnforceable(err) {
			t.Errorf("hidden: %v", err)
		}
		c.Hidden, c.Binds = nil, []Bind{bind(t, dir+"/state", sandbox.None)}
		if _, err := c.layout(t.Context(), nil, keeper(t)); !errors.Is(err, procfs.ErrPaths) {
			t.Errorf("a rule: %v", err)
		}
	})
}

// TestHiddenRoot checks that a mount of the root directory cannot be hidden.
func TestHiddenRoot(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		c := basic(t)
		dir := tree(t, c, "root/x")
		mountAt(t, "/", dir+"/root")
		c.Hidden = []string{dir + "/root"}
		if _, err := c.layout(t.Context(), nil, keeper(t)); !isNotEnforceable(err) {
			t.Errorf("hidden: %v", err)
		}
		c.Hidden, c.Binds = nil, []Bind{bind(t, dir+"/root", sandbox.None)}
		if _, err := c.layout(t.Context(), nil, keeper(t)); !errors.Is(err, unix.ENOTSUP) {
			t.Errorf("a rule: %v", err)
		}
	})
}

func isNotEnforceable(err error) bool {
	_, ok := errors.AsType[*sandbox.NotEnforceableError](err)
	return ok
}

// keeper closes descriptors at the end of the test.
func keeper(t testing.TB) owner {
	return func(fd int, err error) (int, error) {
		if err == nil {
			t.Cleanup(func() { _ = unix.Close(fd) })
		}
		return fd, err
	}
}

// BenchmarkLayout has what a server hides.
func BenchmarkLayout(b *testing.B) {
	c := everything(false)
	dir := tree(b, c, "state/x", "tokens", "policy", "key", "principals", "w/x")
	for _, name := range []string{"state", "tokens", "policy", "key", "principals"} {
		c.Hidden = append(c.Hidden, dir+"/"+name)
	}
	c.Binds = []Bind{bind(b, dir+"/w", sandbox.Write)}
	for b.Loop() {
		if _, err := c.layout(b.Context(), nil, func(fd int, err error) (int, error) { _ = unix.Close(fd); return -1, unix.EXDEV }); err != nil {
			b.Fatal(err)
		}
	}
}
