//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestSandboxOfManyDirectories checks that rules for directories that are too deep are refused, which
// a command can make, and that the error names the field and a bound.
func TestSandboxOfManyDirectories(t *testing.T) {
	const branches, depth = 20, 60
	eachMechanism(t, func(t *testing.T, h *Host) {
		dir := makeDirs(t)
		access, bound := sandbox.Read, "than 128 "
		if h.SandboxSupport(t.Context()).By[sandbox.ProcessesPart] == "" { // no rule below a writable one
			access, bound = sandbox.Write, "than 512 "
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
		if e, ok := errors.AsType[*sandbox.NotEnforceableError](err); !ok || e.Field != "files" || !strings.Contains(e.Why, bound) {
			t.Errorf("%v", err)
		}
		if out, err := run(rules[:3]); out != "ran\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// makeLinks makes n symbolic links l0, l1, … in a directory to its directory sub. Each leads through that
// many names, in the targets of several links.
func makeLinks(t *testing.T, dir string, n, names int) {
	t.Helper()
	const links = 5
	pad := strings.Repeat("sub/../", names/links/2)
	for i := range links {
		to := fmt.Sprintf("c%d", i+1)
		if i == links-1 {
			to = "sub"
		}
		if err := os.Symlink(pad+to, fmt.Sprintf("%s/c%d", dir, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if err := os.Symlink("c0", fmt.Sprintf("%s/l%d", dir, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// linkRules returns rules for the links of makeLinks.
func linkRules(n int, a sandbox.Access) (rules []sandbox.Rule) {
	for i := range n {
		rules = append(rules, sandbox.Rule{Path: fmt.Sprintf("l%d", i), Access: a, Missing: sandbox.Skip})
	}
	return rules
}

// TestSandboxOfLongLinks checks that a path that leads through too many names is refused if a request
// has named it, and leads nowhere otherwise: a command must not stop all starts by such a link.
func TestSandboxOfLongLinks(t *testing.T) {
	var unused []UnusedRule
	h := openHostWith(t, Options{Containment: Marker, SandboxRuleUnused: func(u UnusedRule) { unused = append(unused, u) }})
	needNamespaces(t, h)
	dir := makeDirs(t, "sub")
	makeLinks(t, dir, 3, 2*maxLinkNames)
	profile := sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}, {Path: "l0", Access: sandbox.Write},
		{Path: "l1", Access: sandbox.None}, {Path: "l2", Access: sandbox.Read}}}
	run := func(rules ...sandbox.Rule) (string, error) {
		s := within(fromProfile(t, dir, profile)(rules...), sh("echo ran"))
		s.Dir = dir
		return outputOn(h, s)
	}
	if out, err := run(); out != "ran\n" || err != nil || len(unused) != 3 {
		t.Errorf("%q, %v, %v", out, err, unused)
	}
	_, err := run(linkRules(1, sandbox.Read)...)
	if e, ok := errors.AsType[*sandbox.PathError](err); !ok || e.Path != dir+"/l0" || !strings.Contains(e.Error(), "256 for one path") {
		t.Errorf("%v", err)
	}
}

// TestSandboxOfManyLinks checks that all paths of a start together lead through a bounded number of
// names, and that a rule of a profile, which may hide something, does not vanish then.
func TestSandboxOfManyLinks(t *testing.T) {
	const n = 100
	h := openHost(t, Marker)
	needNamespaces(t, h)
	dir := makeDirs(t, "sub")
	makeLinks(t, dir, n, maxLinkNames-20)
	for name, test := range map[string]struct {
		profile, own int
		refused      bool
	}{
		"a request": {0, n, true}, "a part": {0, n / 2, false}, "a profile": {n, 0, true}, "a part of a profile": {n / 2, 0, false}, "both": {n / 2, n / 2, true},
	} {
		profile := sandbox.Partial{Files: append(linkRules(test.profile, sandbox.None), sandbox.Rule{Path: "sub", Access: sandbox.None})}
		s := within(fromProfile(t, dir, profile)(linkRules(test.own, sandbox.None)...), sh("ls sub || echo hidden"))
		s.Dir = dir
		out, err := outputOn(h, s)
		e, refused := errors.AsType[*sandbox.PathError](err)
		if refused != test.refused || refused && !errors.Is(e.Err, errTooManyNames) || !refused && out != "hidden\n" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	f := newFinder(t.Context(), nil, &execfile.File{}, "/elsewhere")
	for _, rule := range linkRules(n, sandbox.Read) {
		f.find(&sandbox.Rule{Path: dir + "/" + rule.Path}, false)
	}
	if f.steps < maxSteps || f.steps > maxSteps+n || f.refused == nil {
		t.Errorf("%d steps, %v", f.steps, f.refused)
	}
}

// TestSandboxesShareDescriptors checks that starts wait for descriptors that others have, and end that
// with their context, that starts that need none do not wait, and that all starts return what they had.
func TestSandboxesShareDescriptors(t *testing.T) {
	h := openHost(t, Marker)
	needNamespaces(t, h)
	h.sandboxes.ruleFiles, h.sandboxes.anchors = descriptorBound{3, semaphore.NewWeighted(3)}, descriptorBound{2, semaphore.NewWeighted(2)}
	dir := makeDirs(t, "a/b/c/d")
	command := func(dirs ...string) Spec {
		var rules []sandbox.Rule
		for _, name := range dirs {
			rules = append(rules, sandbox.Rule{Path: name, Access: sandbox.Read})
		}
		s := within(fromProfile(t, dir, sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}}})(rules...), sh("true"))
		s.Dir = dir
		return s
	}
	plain, deep := command("a"), command("a/b/c/d") // the second one has three anchors
	errEnded := errors.New("ended")
	for name, test := range map[string]struct {
		bound *descriptorBound
		waits map[bool]Spec
	}{
		"anchors": {&h.sandboxes.anchors, map[bool]Spec{true: deep, false: plain}},
		"rules":   {&h.sandboxes.ruleFiles, map[bool]Spec{true: deep, false: within(readOnly(), sh("true"))}},
	} {
		release, err := test.bound.acquire(t.Context(), int(test.bound.all))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := outputOn(h, test.waits[false]); err != nil {
			t.Errorf("%s: a start that needs none: %v", name, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		go func() {
			_, err := h.Attempt(test.waits[true]).Start(ctx)
			failed <- err
		}()
		select {
		case err := <-failed:
			t.Fatalf("%s: does not wait: %v", name, err)
		case <-time.After(50 * time.Millisecond):
		}
		cancel(errEnded)
		if err := <-failed; !errors.Is(err, errEnded) {
			t.Errorf("%s: %v", name, err)
		}
		release()
		if _, err := outputOn(h, test.waits[true]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Start(command("a", "missing")); err == nil {
		t.Error("a missing directory is no error")
	}
	for _, d := range []descriptorBound{h.sandboxes.ruleFiles, h.sandboxes.anchors} {
		if !d.free.TryAcquire(d.all) {
			t.Error("a start has not returned what it had")
		}
	}
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
		f := newFinder(ctx, nil, &execfile.File{}, "/elsewhere")
		for _, path := range []string{dir + "/link", dir + "/sub"} {
			if got := f.find(&sandbox.Rule{Path: path}, true); got.Path != want {
				t.Errorf("%s: %+v, want %q", path, got, want)
			}
		}
		cancel()
	}
}

// TestLongPath checks that a path which is too long to be mounted stands for a directory above it.
func TestLongPath(t *testing.T) {
	dir := makeDirs(t)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	var link string
	for name := strings.Repeat("d", 200); err == nil && len(dir)+len(link) <= maxPath; {
		var next int
		if err = unix.Mkdirat(fd, name, 0o755); err == nil {
			next, err = unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		_ = unix.Close(fd)
		fd, link = next, filepath.Join(link, name)
	}
	defer unix.Close(fd)
	if err := errors.Join(err, os.Symlink(link, dir+"/link")); err != nil {
		t.Fatal(err)
	}
	f := newFinder(t.Context(), nil, &execfile.File{}, "/elsewhere")
	got := f.find(&sandbox.Rule{Path: dir + "/link", Access: sandbox.None}, false)
	if got.Path != "" || len(got.Above) > maxPath || len(got.Above) < maxPath-201 || !strings.HasPrefix(dir+"/"+link, got.Above+"/") {
		t.Errorf("%+v", got)
	}
}

// TestPathOfUnsearchable checks that a file which was reached has its path also if a directory above it
// may not be searched any more.
func TestPathOfUnsearchable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: root may search all directories")
	}
	dir := makeDirs(t, "shut/sub")
	fd, err := unix.Open(dir+"/shut/sub", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	t.Cleanup(func() { _ = os.Chmod(dir+"/shut", 0o700) })
	if err := os.Chmod(dir+"/shut", 0); err != nil {
		t.Fatal(err)
	}
	if got := pathOf(fd); got != dir+"/shut/sub" {
		t.Errorf("%q", got)
	}
}

// TestRuleOfAProfileThatCannotBeMade checks that a command cannot stop others by what it puts where a
// profile has a directory made.
func TestRuleOfAProfileThatCannotBeMade(t *testing.T) {
	var unused []UnusedRule
	h := openHostWith(t, Options{Containment: Marker, SandboxRuleUnused: func(u UnusedRule) { unused = append(unused, u) }})
	needNamespaces(t, h)
	dir := makeDirs(t)
	if err := errors.Join(os.WriteFile(dir+"/file", nil, 0o600), os.Symlink("/etc", dir+"/system")); err != nil {
		t.Fatal(err)
	}
	profile := sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}, {Path: "file/x", Access: sandbox.Write, Missing: sandbox.Create},
		{Path: "missing/x", Access: sandbox.Write, Missing: sandbox.Create}, {Path: "system", Access: sandbox.Write, Missing: sandbox.Skip}}}
	s := within(fromProfile(t, dir, profile)(), sh("echo ran; echo x 2>/dev/null >>/etc/passwd && echo written"))
	s.Dir = dir
	if out, err := outputOn(h, s); out != "ran\n" || err != nil || len(unused) != 3 {
		t.Errorf("%q, %v, %v", out, err, unused)
	}
}
