package landlock

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// treeVariable has the directory of the tree for the process in which TestOtherMounts makes its
// attempts.
const treeVariable = "RUNNEL_TEST_TREE"

// TestOtherMounts checks that what is never accessible is not accessible by other mounts of the
// directory, of the one above it, or of a part of it.
func TestOtherMounts(t *testing.T) {
	needs(t, MinAlone)
	if dir := os.Getenv(treeVariable); dir != "" {
		otherMounts(t, &tree{dir: dir})
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tr := newTree(t, nil)
	for _, name := range []string{"above", "again", "part"} {
		if err := os.Mkdir(tr.path("r/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--dev-bind", "/", "/", "--bind", tr.dir, tr.path("r/above"), "--bind", tr.path("deny"), tr.path("r/again"),
		"--bind", tr.path("deny/sub/x"), tr.path("r/part")}
	if err := exec.Command("bwrap", append(args, "true")...).Run(); err != nil {
		proctest.SkipUnlessRequired(t, "bubblewrap", err.Error())
	}
	cmd := exec.Command("bwrap", append(args, self, "-test.v", "-test.run", "^TestOtherMounts$")...)
	cmd.Env = append(os.Environ(), treeVariable+"="+tr.dir)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestOtherMounts ")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func otherMounts(t *testing.T, tr *tree) {
	const rd = unix.O_RDONLY
	attempts := []attempt{
		{"a file beside", opens("r/above/r/file", rd), 0},
		{"by itself", opens("deny/file", rd), unix.EACCES},
		{"by the directory above", opens("r/above/deny/file", rd), unix.EACCES},
		{"list by the directory above", opens("r/above/deny", rd), unix.EACCES},
		{"by another mount", opens("r/again/file", rd), unix.EACCES},
		{"a part", opens("r/part/file", rd), unix.EACCES},
		{"list a part", opens("r/part", rd), unix.EACCES},
		{"state by the directory above", opens("r/above/state/file", rd), unix.EACCES},
		{"what a rule excludes by the directory above", opens("r/above/secret/file", rd), unix.EACCES},
		{"what a rule excludes", opens("secret/file", rd), unix.EACCES},
	}
	for _, restricted := range []bool{false, true} {
		ruleset := -1
		if restricted {
			var err error
			if ruleset, err = alone(tr); err != nil {
				t.Fatal(err)
			}
		}
		tryAll(t, nil, ruleset, tr, attempts)
	}
	writable := shared(sandbox.Rule{Path: tr.path("r/above"), Access: sandbox.Write, Missing: sandbox.Refuse})
	fd, err := Ruleset(writable, Options{Always: []string{tr.path("deny")}})
	if field(err) != "files[0]" {
		t.Errorf("writable, with what is never accessible below it: descriptor %d, %v", fd, err)
	}
}

// TestNestedExclusions checks that the order of exclusions does not matter.
func TestNestedExclusions(t *testing.T) {
	needs(t, MinAlone)
	for _, o := range []struct{ always, unreadable string }{{"r/sub", "r"}, {"r", "r/sub"}} {
		run(t, nil, func(tr *tree) (int, error) {
			return Ruleset(shared(), Options{Always: []string{tr.path(o.always)}, Unreadable: []string{tr.path(o.unreadable)}})
		}, []attempt{
			{"list what is never accessible", opens(filepath.Join(o.always, "."), unix.O_RDONLY), unix.EACCES},
			{"list below", opens("r/sub/x", unix.O_RDONLY), unix.EACCES},
			{"read", opens("r/file", unix.O_RDONLY), unix.EACCES},
		})
	}
}
