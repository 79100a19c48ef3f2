package landlock

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// nobody is a user without rights.
var nobody = &runas.User{UID: 65534, GID: 65534}

func needs(t *testing.T, abi int) {
	t.Helper()
	if ABI() == 0 {
		proctest.SkipUnlessRequired(t, "landlock", whyNot(0))
	}
	if ABI() < abi {
		t.Skipf("SKIPPED: Landlock has ABI %d here, not %d", ABI(), abi)
	}
}

// attempt is something that a command tries.
type attempt struct {
	name string
	do   func(*tree) error
	want unix.Errno // with the restriction; 0 if it works then, too
}

// eachUser runs a test as this user, and as one without rights if this is root.
func eachUser(t *testing.T, f func(t *testing.T, user *runas.User)) {
	t.Run("self", func(t *testing.T) { f(t, nil) })
	if os.Geteuid() == 0 {
		t.Run("nobody", func(t *testing.T) { f(t, nobody) })
	}
}

// run makes each attempt on a thread of its own user, without the restriction, where it has to work,
// and with it. Both times the files are new. The ruleset is made for the files of a tree.
func run(t *testing.T, user *runas.User, ruleset func(*tree) (int, error), attempts []attempt) {
	t.Helper()
	for _, restricted := range []bool{false, true} {
		tree := newTree(t, user)
		fd := -1
		if restricted {
			var err error
			if fd, err = ruleset(tree); err != nil {
				t.Fatal(err)
			}
		}
		tryAll(t, user, fd, tree, attempts)
		_ = unix.Close(fd)
	}
}

// tryAll makes the attempts on a thread with a ruleset, or on one that is not restricted if it is -1.
func tryAll(t *testing.T, user *runas.User, ruleset int, tree *tree, attempts []attempt) {
	t.Helper()
	proctest.OnThread(func() {
		if err := enter(user, ruleset); err != nil {
			t.Error(err)
			return
		}
		for _, a := range attempts {
			err := a.do(tree)
			switch {
			case ruleset < 0 && err != nil:
				t.Errorf("%s without a restriction: %v", a.name, err)
			case ruleset >= 0 && a.want == 0 && err != nil, ruleset >= 0 && a.want != 0 && !errors.Is(err, a.want):
				t.Errorf("%s: %v, want %v", a.name, err, a.want)
			}
		}
	})
}

// enter makes the calling thread one of a user, without capabilities, which would permit root more
// than a command gets, and restricts it.
func enter(user *runas.User, ruleset int) error {
	if errno := runas.NoNewPrivileges(); errno != 0 { // so that an exec as root restores no capability
		return errno
	}
	if user != nil {
		if errno := user.Become(); errno != 0 {
			return fmt.Errorf("become user %d: %w", user.UID, errno)
		}
	}
	head, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capset(&head, &none[0]); err != nil {
		return err
	}
	if ruleset >= 0 {
		if errno := Restrict(ruleset); errno != 0 {
			return errno
		}
	}
	return nil
}

// tree is a directory with files:
//
//	w        writable, by a rule
//	r        readable, by the default
//	secret   not accessible, by a rule
//	deny     not accessible, always, whatever the rules say
//	state    not readable, always
//
// Each has file, prog, fifo, sub/file, sub/x/file, and links to files of the others.
type tree struct {
	dir   string
	child int // a process of the user that is not restricted
}

func (tr *tree) path(name string) string { return filepath.Join(tr.dir, name) }

var places = []string{"w", "r", "secret", "deny", "state"}

func newTree(t *testing.T, user *runas.User) *tree {
	t.Helper()
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	tr := &tree{dir: dir, child: outside(t, user)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range places {
		must(os.MkdirAll(tr.path(place+"/sub/x"), 0o755))
		must(os.MkdirAll(tr.path(place+"/empty"), 0o755))
		for _, name := range []string{"file", "file2", "file3", "file4", "sub/file", "sub/x/file"} {
			must(os.WriteFile(tr.path(place+"/"+name), []byte("content"), 0o644))
		}
		must(os.WriteFile(tr.path(place+"/prog"), []byte("#!/bin/sh\nexit 0\n"), 0o755))
		must(unix.Mkfifo(tr.path(place+"/fifo"), 0o666))
		for _, to := range places {
			must(os.Symlink("../"+to+"/file", tr.path(place+"/link-"+to)))
			must(os.Symlink("../"+to, tr.path(place+"/dir-"+to)))
		}
	}
	if user != nil {
		must(filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error { return os.Lchown(path, int(user.UID), int(user.GID)) }))
	}
	return tr
}

// outside starts a process of a user that is not restricted and returns its id. It ends with the
// test.
func outside(t *testing.T, user *runas.User) int {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	proctest.OnThread(func() {
		if err = enter(user, -1); err == nil {
			err = cmd.Start()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// alone is the ruleset of the sandbox without namespaces.
func alone(tr *tree) (int, error) {
	return Ruleset(&sandbox.Config{
		Files: []sandbox.Rule{
			{Path: tr.path("w"), Access: sandbox.Write, Missing: sandbox.Refuse},
			{Path: tr.path("secret"), Access: sandbox.None, Missing: sandbox.Refuse},
			{Path: tr.path("r/dir-secret"), Access: sandbox.Read, Missing: sandbox.Refuse}, // the same directory
			{Path: tr.path("deny/sub"), Access: sandbox.Write, Missing: sandbox.Refuse},    // which does not count
		},
		FilesDefault: sandbox.Read,
		Network:      sandbox.Network{Mode: sandbox.FullNetwork},
		Processes:    sandbox.Shared, Tmp: sandbox.Shared, Devices: sandbox.MinimalDevices,
	}, Options{Always: []string{tr.path("deny")}, Unreadable: []string{tr.path("state")}})
}
