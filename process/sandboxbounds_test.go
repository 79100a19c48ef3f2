//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestSandboxOfManyDirectories checks that rules for directories that are too deep are refused, which
// a command can make, and that the error names the field and a bound.
func TestSandboxOfManyDirectories(t *testing.T) {
	const branches, depth = 20, 60
	eachMechanism(t, func(t *testing.T, h *Host) {
		dir := makeDirs(t)
		access := sandbox.Read
		if h.SandboxSupport(t.Context()).By[sandbox.ProcessesPart] == "" { // no rule below a writable one
			access = sandbox.Write
		}
		rules := []sandbox.Rule{{Path: ".", Access: sandbox.Write}}
		for i := range branches {
			path := fmt.Sprintf("%d%s", i, strings.Repeat("/d", depth))
			if err := os.MkdirAll(dir+"/"+path, 0o777); err != nil {
				t.Fatal(err)
			}
			rules = append(rules, sandbox.Rule{Path: path, Access: access})
		}
		box := fromProfile(t, dir, sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}}})
		run := func(rules []sandbox.Rule) (string, error) {
			s := within(box(rules...), sh("echo ran"))
			s.Dir = dir
			return outputOn(h, s)
		}
		_, err := run(rules)
		if e, ok := errors.AsType[*sandbox.NotEnforceableError](err); !ok || e.Field != "files" || !strings.Contains(e.Why, "than 512 ") {
			t.Errorf("%v", err)
		}
		if out, err := run(rules[:4]); out != "ran\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// TestFinderEnds checks that the end of a start ends the search for its paths.
func TestFinderEnds(t *testing.T) {
	dir := makeDirs(t, "sub")
	if err := os.Symlink("sub", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, want := range []string{dir + "/sub", ""} {
		f := newFinder(ctx, nil, &execfile.File{}, "")
		for _, path := range []string{dir + "/link", dir + "/sub"} {
			if got := f.find(&sandbox.Rule{Path: path}, true); got.Path != want {
				t.Errorf("%s: %+v, want %q", path, got, want)
			}
		}
		cancel()
	}
}
