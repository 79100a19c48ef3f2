package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// config returns the sandbox with some rules, which permits to read all else.
func config(rules ...sandbox.Rule) *sandbox.Config {
	return &sandbox.Config{
		Files: rules, FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.NoNetwork}, Processes: sandbox.Own, Tmp: sandbox.Shared,
		Devices: sandbox.MinimalDevices, UnixSockets: sandbox.NoUnixSockets, Metadata: sandbox.WritableMetadata,
	}
}

func rule(path string, access sandbox.Access) sandbox.Rule {
	return sandbox.Rule{Path: path, Access: access, Missing: sandbox.Skip}
}

// TestSandbox enforces the rules of a sandbox.
func TestSandbox(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"in/.git/config": "c", "in/none/x": "x", "in/none/open/y": "y", "alias": "-> in"})
	ctx := context.Background()
	c := config(rule(w.dir+"/alias", sandbox.Write), rule(w.in+"/.git", sandbox.Read), rule(w.in+"/none", sandbox.None), rule(w.in+"/none/open", sandbox.Read),
		rule(w.in+"/absent", sandbox.Read), rule(w.out+"/secret", sandbox.Write))
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	a := &Access{Sandbox: c}
	read := func(path string, want error) {
		t.Helper()
		_, err := o.ReadFile(ctx, a, at(w.dir+path))
		wantKind(t, path, err, want)
	}
	write := func(path string, want error) {
		t.Helper()
		wantKind(t, path, o.WriteFile(ctx, a, at(w.dir+path), []byte("new")), want)
	}
	read("/in/a.txt", nil)
	read("/out/tree/x", nil)
	read("/in/.git/config", nil)
	read("/in/none/x", ErrForbidden)
	read("/in/none/open/y", nil)
	write("/in/a.txt", nil)
	write("/alias/new", nil)
	write("/in/.git/config", ErrForbidden)
	write("/in/.git/new", ErrForbidden)
	write("/in/absent", ErrForbidden)
	write("/out/tree/x", ErrForbidden)
	write("/out/new", ErrForbidden)
	write("/out/secret", nil) // a rule for a file
	write("/in/far", nil)     // a link to it
	for path, want := range map[string]error{
		"/in/.git": ErrForbidden, "/in": ErrForbidden, "/out/secret": ErrForbidden /* its directory is read-only */, "/in/none": ErrForbidden, "/in/dir": nil,
	} {
		wantKind(t, "removing "+path, o.Remove(ctx, a, at(w.dir+path), RemoveOptions{Recursive: true}), want)
	}
	w.make(t, map[string]string{"in/dir2/keep/x": "x", "in/dir2/y": "y"})
	a.Sandbox = config(rule(w.in, sandbox.Write), rule(w.in+"/dir2/keep", sandbox.Read))
	wantKind(t, "removing what a rule is below", o.Remove(ctx, a, at(w.in+"/dir2"), RemoveOptions{Recursive: true}), ErrForbidden)
	if content(t, w.in+"/dir2/y") != "y" {
		t.Error("a part was removed")
	}
	wantKind(t, "copying over it", o.Copy(ctx, a, at(w.in+"/.git"), at(w.in+"/dir2/keep"), true), ErrForbidden)
	for _, path := range []string{"/proc/version", "/proc/1/status", "/dev/null", "/sys/kernel"} {
		_, err := o.GetMetadata(ctx, a, at(path))
		wantKind(t, path, err, ErrForbidden)
	}
	_, err := o.ReadFile(ctx, a, at("/proc/version"))
	if e, ok := errors.AsType[*Error](err); !ok || e.Rule != SandboxRule {
		t.Errorf("%#v", err)
	}
	a.Restricted, a.Roots, a.Rule = true, []Root{{w.out, sandbox.Write}, {w.in, sandbox.Read}}, "directories" // both apply
	write("/in/a.txt", ErrForbidden)
	write("/out/tree/x", ErrForbidden)
	read("/out/tree/x", nil)
}

// TestSandboxTmp refuses the /tmp that a sandbox has of its own.
func TestSandboxTmp(t *testing.T) {
	o := newOwner(t, Options{})
	dir, err := os.MkdirTemp("/tmp", "files") // not that of TMPDIR
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for _, c := range []struct {
		tmp   sandbox.Scope
		rules []sandbox.Rule
		want  error
	}{
		{sandbox.Shared, []sandbox.Rule{rule("/tmp", sandbox.Write)}, nil},
		{sandbox.Shared, nil, ErrForbidden},
		{sandbox.Private, []sandbox.Rule{rule("/tmp", sandbox.Write)}, ErrForbidden},
		{sandbox.Private, []sandbox.Rule{rule("/", sandbox.Write)}, ErrForbidden},
		{sandbox.Private, []sandbox.Rule{rule(dir, sandbox.Write)}, nil},
		{sandbox.Private, []sandbox.Rule{rule(dir+"/other", sandbox.Write)}, ErrForbidden},
	} {
		config := config(c.rules...)
		config.Tmp = c.tmp
		wantKind(t, fmt.Sprint(c.tmp, c.rules), o.WriteFile(ctx, &Access{Sandbox: config}, at(dir+"/x"), []byte("x")), c.want)
	}
}

// TestSandboxLinks has rules whose paths lead through a link that a command may have made.
func TestSandboxLinks(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"in/trap": "-> ../out"})
	ctx := context.Background()
	a := &Access{Sandbox: config(rule(w.in, sandbox.Write), rule(w.in+"/trap", sandbox.Write))}
	err := o.WriteFile(ctx, a, at(w.in+"/trap/secret"), []byte("x"))
	if _, ok := errors.AsType[*sandbox.PathError](err); !ok || !errors.Is(err, sandbox.ErrLink) {
		t.Errorf("a rule that leads elsewhere: %v", err)
	}
	a.Sandbox = config(rule("/proc/self", sandbox.Write))
	if _, err := o.ReadFile(ctx, a, at(w.in+"/a.txt")); err == nil {
		t.Error("a rule for /proc/self was accepted")
	}
	if content(t, w.out+"/secret") != "secret" {
		t.Error("it was written")
	}
}

// TestUser uses files with the rights of another user.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), "root") {
			t.Fatal("root is required")
		}
		t.Skip("SKIPPED: only root can use the rights of other users")
	}
	w, o := newWorld(t), newOwner(t, Options{})
	ctx := context.Background()
	for dir := w.dir; dir != "/" && dir != "/tmp"; dir = parent(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	user := &process.User{UID: 65533, GID: 65532}
	a := &Access{As: user.Files}
	if err := errors.Join(os.Chmod(w.in+"/a.txt", 0o600), os.Chown(w.in+"/dir", 65533, 65532), os.Chmod(w.out, 0o700)); err != nil {
		t.Fatal(err)
	}
	_, err := o.ReadFile(ctx, a, at(w.in+"/a.txt"))
	wantKind(t, "a file of root", err, ErrPermission)
	_, err = o.ReadFile(ctx, a, at(w.out+"/secret"))
	wantKind(t, "in a directory of root", err, ErrPermission)
	wantKind(t, "write", o.WriteFile(ctx, a, at(w.in+"/new"), nil), ErrPermission)
	wantKind(t, "remove", o.Remove(ctx, a, at(w.in+"/a.txt"), RemoveOptions{}), ErrPermission)
	wantKind(t, "write in its own", o.WriteFile(ctx, a, at(w.in+"/dir/new"), []byte("x")), nil)
	wantKind(t, "make a directory", o.CreateDirectory(ctx, a, at(w.in+"/dir/made/deep"), true), nil)
	wantKind(t, "copy", o.Copy(ctx, a, at(w.in+"/dir/new"), at(w.in+"/dir/made/copy"), false), nil)
	wantKind(t, "open", o.Open(ctx, a, "h", at(w.in+"/dir/new"), ForReading), nil)
	for _, path := range []string{"/dir/new", "/dir/made/deep", "/dir/made/copy"} {
		var st unix.Stat_t
		if err := unix.Stat(w.in+path, &st); err != nil || st.Uid != user.UID || st.Gid != user.GID {
			t.Errorf("%s is of %d:%d, %v", path, st.Uid, st.Gid, err)
		}
	}
	failing := &Access{As: func(func()) error { return errors.New("no") }}
	_, err = o.ReadFile(ctx, failing, at(w.in+"/dir/b.txt"))
	wantKind(t, "a user that cannot be used", err, ErrPermission)
	if b, err := o.ReadFile(ctx, everything, at(w.in+"/a.txt")); err != nil || string(b) != "hello" {
		t.Errorf("with the rights of this process: %q, %v", b, err)
	}
}
