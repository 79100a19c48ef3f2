//go:build linux

package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
)

// tree is a directory that only this process may write to, with the programs of a test.
type tree struct {
	*testing.T
	root string
}

func newTree(t *testing.T) *tree {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{t, root}
	for _, dir := range []string{"bin", "other", "work/sub", "outside"} {
		tr.must(os.MkdirAll(tr.at(dir), 0o755))
	}
	tr.program("bin/tool")
	tr.program("other/tool")
	return tr
}

func (tr *tree) at(name string) string { return filepath.Join(tr.root, name) }

func (tr *tree) must(err error) {
	tr.Helper()
	if err != nil {
		tr.Fatal(err)
	}
}

func (tr *tree) program(name string) {
	tr.Helper()
	tr.must(os.WriteFile(tr.at(name), []byte("#!/bin/sh\n"), 0o755))
}

func (tr *tree) link(target, name string) {
	tr.Helper()
	tr.must(os.Symlink(target, tr.at(name)))
}

// policy parses a policy in which $ROOT is the root of the tree. Its commands run as another user.
func (tr *tree) policy(text string) *Policy {
	tr.Helper()
	return parse(tr, strings.ReplaceAll("[principal.ci]\nuser = \"build\"\n"+text, "$ROOT", tr.root))
}

// check opens the files of an execute as package process does, and checks them. between, if not
// nil, is called when they are open.
func (tr *tree) check(p *Policy, params string, between func()) (*Decision, error) {
	tr.Helper()
	d, spec, err := decide(tr.T, p, strings.ReplaceAll(params, "$ROOT", tr.root))
	if err != nil {
		return nil, err
	}
	if spec.Program.Argv == nil {
		spec.Program.Argv = []string{"/bin/sh", "-c", "true"}
	}
	o := process.Opened{Dir: tr.open(spec.Program.Dir), Programs: []process.File{tr.open(search(&spec.Program))}}
	if between != nil {
		between()
	}
	return d, d.Check(o)
}

// open returns what package process reports of a file.
func (tr *tree) open(path string) process.File {
	tr.Helper()
	path, err := filepath.EvalSymlinks(path)
	tr.must(err)
	var st unix.Stat_t
	tr.must(unix.Stat(path, &st))
	return process.File{Path: path, Dev: uint64(st.Dev), Ino: st.Ino}
}

// search looks a program up as execvp(3) does.
func search(spec *process.Spec) string {
	if strings.Contains(spec.Argv[0], "/") {
		return spec.Argv[0]
	}
	for dir := range strings.SplitSeq(valueOf(spec.Env, "PATH"), ":") {
		if file := dir + "/" + spec.Argv[0]; unix.Access(file, unix.X_OK) == nil {
			return file
		}
	}
	return spec.Argv[0]
}

// permitted checks that an execute is permitted by a rule.
func (tr *tree) permitted(p *Policy, params, rule string) {
	tr.Helper()
	if d, err := tr.check(p, params, nil); err != nil || d.Rule != "principal.ci."+rule {
		tr.Errorf("%s: %v, %v, want %s", params, d, err, rule)
	}
}

// forbidden checks that an execute is refused by a rule.
func (tr *tree) forbidden(p *Policy, params, rule, field string) {
	tr.Helper()
	_, err := tr.check(p, params, nil)
	if err == nil {
		tr.Errorf("%s is permitted", params)
		return
	}
	refused(tr.T, err, "principal.ci."+rule, field)
}

const treePolicy = `
directories = ["$ROOT/work"]
programs = [{path = "/bin/true"}, {path = "$ROOT/bin/tool"}, {path = "$ROOT/bin/link"}]
environment = {set = {PATH = "$ROOT/other:$ROOT/bin:/usr/bin:/bin"}}
directory = "$ROOT/work"
`

func TestCheckProgram(t *testing.T) {
	tr := newTree(t)
	p := tr.policy(treePolicy)
	tr.permitted(p, `{"command":["$ROOT/bin/tool"]}`, "programs[1]")
	tr.permitted(p, `{"command":["/bin/true"]}`, "programs[0]")
	tr.permitted(p, `{"command":["/usr/bin/true"]}`, "programs[0]") // by another path in PATH, if it is the same file
	tr.permitted(p, `{"command":["true"]}`, "programs[0]")
	tr.forbidden(p, `{"command":["tool"]}`, "programs", "command") // PATH finds another one first
	tr.forbidden(p, `{"command":["$ROOT/other/tool"]}`, "programs", "command")

	// A listed symbolic link is what it points to, as long as only the trusted can change it.
	tr.link("../other/tool", "bin/link")
	tr.permitted(p, `{"command":["$ROOT/bin/link"]}`, "programs[2]")

	// A hard link with a name of the list in another directory of PATH is the same file.
	tr.must(os.Remove(tr.at("other/tool")))
	tr.must(os.Link(tr.at("bin/tool"), tr.at("other/tool")))
	tr.permitted(p, `{"command":["tool"]}`, "programs[1]")
	tr.must(os.Link(tr.at("bin/tool"), tr.at("outside/tool")))
	tr.forbidden(p, `{"command":["$ROOT/outside/tool"]}`, "programs", "command[0]")
}

// TestSwappedProgram: the program is exchanged after it was opened.
func TestSwappedProgram(t *testing.T) {
	for name, swap := range map[string]func(tr *tree){
		"by another file":       func(tr *tree) { tr.must(os.Rename(tr.at("other/tool"), tr.at("bin/tool"))) },
		"by a symbolic link":    func(tr *tree) { tr.must(os.Remove(tr.at("bin/tool"))); tr.link("/bin/true", "bin/tool") },
		"its directory":         func(tr *tree) { tr.must(os.Rename(tr.at("bin"), tr.at("x"))); tr.link("other", "bin") },
		"by nothing":            func(tr *tree) { tr.must(os.Remove(tr.at("bin/tool"))) },
		"by a link to itself":   func(tr *tree) { tr.must(os.Remove(tr.at("bin/tool"))); tr.link("tool", "bin/tool") },
		"by a directory":        func(tr *tree) { tr.must(os.Remove(tr.at("bin/tool"))); tr.must(os.Mkdir(tr.at("bin/tool"), 0o755)) },
		"its directory by file": func(tr *tree) { tr.must(os.RemoveAll(tr.at("bin"))); tr.program("bin") },
	} {
		tr := newTree(t)
		p := tr.policy(treePolicy)
		_, err := tr.check(p, `{"command":["$ROOT/bin/tool"]}`, func() { swap(tr) })
		if err == nil {
			t.Errorf("%s: permitted", name)
			continue
		}
		refused(t, err, "principal.ci.programs", "command")
	}
}

// TestSwappedBack: the program was a link to another file while it was opened.
func TestSwappedBack(t *testing.T) {
	tr := newTree(t)
	p := tr.policy(treePolicy)
	tr.must(os.Rename(tr.at("bin"), tr.at("saved")))
	tr.link("other", "bin")
	_, err := tr.check(p, `{"command":["$ROOT/bin/tool"]}`, func() {
		tr.must(os.Remove(tr.at("bin")))
		tr.must(os.Rename(tr.at("saved"), tr.at("bin")))
	})
	refused(t, err, "principal.ci.programs", "command")
}

// TestWeakPath: a program that users of the policy may exchange or change is refused, unless the
// policy says writable.
func TestWeakPath(t *testing.T) {
	const other = 54322 // the user build, and its group
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		weaken func(tr *tree) error
		root   bool // needs root
	}{
		"all may write to the program":       {func(tr *tree) error { return os.Chmod(tr.at("bin/tool"), 0o757) }, false},
		"all may write to the directory":     {func(tr *tree) error { return os.Chmod(tr.at("bin"), 0o757) }, false},
		"all may write, sticky":              {func(tr *tree) error { return os.Chmod(tr.at("bin"), 0o777|os.ModeSticky) }, false},
		"all may write to a directory above": {func(tr *tree) error { return os.Chmod(tr.root, 0o777) }, false},
		"the program belongs to the user":    {func(tr *tree) error { return os.Chown(tr.at("bin/tool"), other, 0) }, true},
		"the directory belongs to the user":  {func(tr *tree) error { return os.Chown(tr.at("bin"), other, 0) }, true},
		"the group may write to the program": {func(tr *tree) error { os.Chmod(tr.at("bin/tool"), 0o775); return os.Chown(tr.at("bin/tool"), 0, other) }, true},
		"the group may write to a directory": {func(tr *tree) error { os.Chmod(tr.at("bin"), 0o775); return os.Chown(tr.at("bin"), 0, other) }, true},
		"the group may write, sticky": {func(tr *tree) error {
			os.Chmod(tr.at("bin"), 0o775|os.ModeSticky)
			return os.Chown(tr.at("bin"), 0, other)
		}, true},
		"a symbolic link belongs to the user": {func(tr *tree) error { relink(tr); return os.Lchown(tr.at("bin"), other, 0) }, true},
	} {
		if c.root && !root {
			continue
		}
		tr := newTree(t)
		tr.must(c.weaken(tr))
		t.Log(name)
		tr.forbidden(tr.policy(treePolicy), `{"command":["$ROOT/bin/tool"]}`, "programs", "command")
		writable := strings.ReplaceAll(treePolicy, `bin/tool"`, `bin/tool", writable = true`)
		tr.permitted(tr.policy(writable), `{"command":["$ROOT/bin/tool"]}`, "programs[1]")
	}
	tr := newTree(t)
	tr.must(os.Chmod(tr.at("bin"), 0o775)) // by the group of the tests, which no user of the policy is in
	tr.permitted(tr.policy(treePolicy), `{"command":["$ROOT/bin/tool"]}`, "programs[1]")
	if !root { // commands that run as the server's own user could exchange it
		p := parse(tr, strings.ReplaceAll("[principal.ci]"+treePolicy, "$ROOT", tr.root))
		tr.forbidden(p, `{"command":["$ROOT/bin/tool"]}`, "programs", "command")
	}
}

// TestTrustedOwners: the server's user is trusted unless commands run as that user.
func TestTrustedOwners(t *testing.T) {
	server := 54321 // deploy
	for text, want := range map[string][]int{
		"[default]\nuser = 'build'":                       {0, server},
		"[default]\nuser = 'deploy'":                      {0},
		"[default]\nusers = ['build', 'deploy']":          {0},
		"[default]\nuser = 'build'\n[principal.ci]\n":     {0},
		"[principal.ci]\n[principal.x]\nuser = 'build'\n": {0},
	} {
		p, err := Parse("policy.toml", []byte(text), Options{Account: accounts, Server: &server})
		if err != nil || !slices.Equal(p.trust.owners, want) {
			t.Errorf("%q: %v, %v, want %v", text, err, p.trust.owners, want)
		}
	}
}

func relink(tr *tree) {
	tr.must(os.Rename(tr.at("bin"), tr.at("x")))
	tr.link("x", "bin")
}

// TestInterpreter: an interpreter is not in the list, but as safe as the program.
func TestInterpreter(t *testing.T) {
	tr := newTree(t)
	tr.must(os.Chmod(tr.at("other"), 0o777))
	p := tr.policy(treePolicy)
	for file, ok := range map[string]bool{"/bin/sh": true, tr.at("other/tool"): false} {
		d, _, err := decide(t, p, fmt.Sprintf(`{"command":["%s/bin/tool"]}`, tr.root))
		tr.must(err)
		err = d.Check(process.Opened{Dir: tr.open(tr.at("work")), Programs: []process.File{tr.open(tr.at("bin/tool")), tr.open(file)}})
		if ok && err != nil {
			t.Error(err)
		} else if !ok {
			refused(t, err, "principal.ci.programs", "command")
		}
	}
}

func TestCheckDirectory(t *testing.T) {
	tr := newTree(t)
	p := tr.policy("shell = true\n" + treePolicy)
	tr.link("sub", "work/inside")
	tr.link("../outside", "work/escape")
	tr.link("/proc/self/root/"+tr.root+"/outside", "work/magic")
	tr.link("/proc/self/root", "work/root")
	for _, dir := range []string{"work", "work/sub", "work/inside", "work/sub/..", "work/escape/../work", "work/root" + tr.root + "/work/sub"} {
		tr.permitted(p, `{"command":"true","cwd":"$ROOT/`+dir+`"}`, "shell")
	}
	tr.permitted(p, `{"command":"true"}`, "shell")
	for _, dir := range []string{"work/escape", "work/escape/../outside", "work/magic", "work/root", "work/root/etc", "work/root/proc/self/cwd"} {
		tr.forbidden(p, `{"command":"true","cwd":"$ROOT/`+dir+`"}`, "directories", "cwd")
	}
	// A root that is itself a symbolic link is what it points to.
	tr.link("work", "linked")
	p = tr.policy("shell = true\ndirectories = [\"$ROOT/linked\"]")
	tr.permitted(p, `{"command":"true","cwd":"$ROOT/linked/sub"}`, "shell")
	tr.forbidden(p, `{"command":"true","cwd":"$ROOT/work/sub"}`, "directories", "cwd") // not as it is written
}

// TestSwappedDirectory: what counts is the directory that was opened, and where it is now.
func TestSwappedDirectory(t *testing.T) {
	tr := newTree(t)
	p := tr.policy("shell = true\n" + treePolicy)
	const params = `{"command":"true","cwd":"$ROOT/work/sub"}`
	_, err := tr.check(p, params, func() { // opened inside, then moved outside
		tr.must(os.Rename(tr.at("work/sub"), tr.at("outside/sub")))
		tr.must(os.Mkdir(tr.at("work/sub"), 0o755))
	})
	refused(t, err, "principal.ci.directories", "cwd")
	tr.must(os.Remove(tr.at("work/sub")))
	tr.link("../outside", "work/sub")
	_, err = tr.check(p, params, func() { // opened outside through a link, then a directory again
		tr.must(os.Remove(tr.at("work/sub")))
		tr.must(os.Mkdir(tr.at("work/sub"), 0o755))
	})
	refused(t, err, "principal.ci.directories", "cwd")
	_, err = tr.check(p, params, func() { tr.must(os.Remove(tr.at("work/sub"))) })
	refused(t, err, "principal.ci.directories", "cwd")
}

// TestResolve: the walk follows the same links as the kernel.
func TestResolve(t *testing.T) {
	tr := newTree(t)
	tr.link("bin", "a")
	tr.link(tr.at("a/.././/other/../a"), "b")
	tr.link("b/tool", "c")
	tr.link("loop", "loop")
	tr.link("/../../..//"+tr.at("c"), "d")
	trust := &trust{owners: []int{0, os.Geteuid()}}
	for _, name := range []string{"bin/tool", "a/tool", "b/tool", "c", "d", "work/../d"} {
		f, err := trust.resolve(tr.at("x/..")[:len(tr.root)] + "/" + name)
		if err != nil || f.path != tr.at("bin/tool") {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	for _, name := range []string{"loop", "missing", "bin", "bin/tool/x", "bin/tool/", "."} {
		if f, err := trust.resolve(tr.root + "/" + name); err == nil && name != "bin/tool/" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if n := len(openDescriptors(t)); n > 0 {
		before := n
		for range 100 {
			_, _ = trust.resolve(tr.at("d"))
			_, _ = trust.resolve(tr.at("loop"))
		}
		if n := len(openDescriptors(t)); n > before {
			t.Errorf("%d descriptors, %d before", n, before)
		}
	}
}

func openDescriptors(t *testing.T) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return all
}
