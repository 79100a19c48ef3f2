//go:build linux

package process

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestSandboxRuleUnused: the operator is told which paths of profiles starts cannot use, and nothing
// about those of requests.
func TestSandboxRuleUnused(t *testing.T) {
	var mu sync.Mutex
	var told []string
	h := openHostWith(t, Options{Containment: Group, SandboxRuleUnused: func(u UnusedRule) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf("%s %v %v", u.Path, u.Err, u.Refused))
	}})
	needNamespaces(t, h)
	dir := makeDirs(t, "work", "victim")
	work := dir + "/work"
	if err := os.Symlink(dir+"/victim", work+"/link"); err != nil {
		t.Fatal(err)
	}
	profile := func(files ...sandbox.Rule) func(...sandbox.Rule) *sandbox.Config {
		return fromProfile(t, work, sandbox.Partial{FilesDefault: sandbox.Read, Files: append(files, sandbox.Rule{Path: ".", Access: sandbox.Write})})
	}
	expect := func(c *sandbox.Config, starts bool, want ...string) {
		t.Helper()
		told = nil
		s := within(c, sh("true"))
		s.Dir = work
		if _, err := outputOn(h, s); (err == nil) != starts {
			t.Errorf("start: %v", err)
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	}
	box := profile(sandbox.Rule{Path: "~/none", Access: sandbox.Read}, sandbox.Rule{Path: "link", Access: sandbox.Write}, sandbox.Rule{Path: "/usr", Access: sandbox.Read})
	unused := []string{work + "/link " + sandbox.ErrLink.Error() + " false", work + "/none no such file or directory false"}
	expect(box(), true, unused...)
	expect(box(sandbox.Rule{Path: "asked", Access: sandbox.Read, Missing: sandbox.Skip}), true, unused...)
	expect(box(sandbox.Rule{Path: "asked", Access: sandbox.Read}), false, unused[:1]...)
	expect(profile(sandbox.Rule{Path: "~/none", Access: sandbox.Read, Missing: sandbox.Refuse})(), false, work+"/none no such file or directory true")
}
