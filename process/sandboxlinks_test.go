//go:build linux

package process

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// makeDirs makes directories of everybody in a new one.
func makeDirs(t *testing.T, names ...string) string {
	t.Helper()
	dir := publicDir(t)
	for _, name := range names {
		if err := errors.Join(os.MkdirAll(dir+"/"+name, 0o777), os.Chmod(dir+"/"+name, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSandboxMakesDirectories checks that a directory is not made where a link leads that was put on
// its path after that was resolved, and that it has the umask of the command.
func TestSandboxMakesDirectories(t *testing.T) {
	dir := makeDirs(t, "victim")
	if err := os.Symlink("victim", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	var f ruleFile
	if err := f.open(&sandbox.Rule{Path: dir + "/link/new", Access: sandbox.Write, Missing: sandbox.Create}, 0); err != unix.ELOOP {
		t.Errorf("%v", err)
	}
	if names, err := os.ReadDir(dir + "/victim"); len(names) > 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	h := openHost(t, Marker)
	needNamespaces(t, h)
	umask := 0o77
	s := within(sharing(), sh("true"))
	s.Attributes.Umask = &umask
	s.Sandbox.Files = []sandbox.Rule{{Path: dir + "/new", Access: sandbox.Write, Missing: sandbox.Create}}
	runOn(t, h, s)
	if info, err := os.Stat(dir + "/new"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	needRoot(t)
	s = within(sharing(), as(alice, sh("true")))
	s.Sandbox.Files = []sandbox.Rule{{Path: dir + "/hidden", Access: sandbox.None, Missing: sandbox.Create}}
	if _, err := h.Start(s); !errors.Is(err, unix.EACCES) {
		t.Errorf("a directory of root is made: %v", err)
	}
}
