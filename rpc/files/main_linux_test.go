package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// patience is how long a test waits for what must happen on a machine that is slow.
const patience = 60 * time.Second

// newOwner returns an owner of a pool of its own. At the end nothing may run.
func newOwner(t testing.TB, o Options) *Owner {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	p := NewPool(o)
	owner := p.NewOwner("alice")
	t.Cleanup(func() {
		owner.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("operations still run: %v", err)
		}
		if p.running.TryAcquire(int64(p.o.MaxOperations)) == false {
			t.Error("a place was not given back")
		}
		if p.handles.TryAcquire(int64(p.o.MaxHandles)) == false {
			t.Error("the place of a handle was not given back")
		}
		if p.memory.TryAcquire(p.o.MaxReadMemory) == false {
			t.Error("memory was not given back")
		}
		if len(p.shares) != 0 {
			t.Errorf("shares are left: %v", p.shares)
		}
	})
	return owner
}

func at(name string) Path { return Path{Name: name} }

// everything permits everything.
var everything = &Access{}

// only permits to change a directory.
func only(dir string) *Access {
	return &Access{Restricted: true, Roots: []Root{{dir, sandbox.Write}}, Rule: "principal.ci.directories"}
}

// world is a directory that is permitted, and one next to it that is not.
type world struct{ dir, in, out string }

func newWorld(t testing.TB) world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := world{dir, dir + "/in", dir + "/out"}
	w.make(t, map[string]string{
		"in/a.txt": "hello", "in/dir/b.txt": "inner", "in/dir/sub/": "", "in/link": "-> a.txt", "in/dlink": "-> dir",
		"in/away": "-> ../out", "in/far": "-> " + w.out + "/secret", "in/back": "-> " + w.in + "/a.txt", "in/dangling": "-> missing",
		"in/loop": "-> loop", "out/secret": "secret", "out/tree/x": "x",
	})
	return w
}

// make makes files of their contents, links of "-> target", and directories of names with a slash.
func (w world) make(t testing.TB, tree map[string]string) {
	t.Helper()
	for name, content := range tree {
		path := w.dir + "/" + name
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot returns all below a directory, as text.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		content := []byte(nil)
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "%s %v %q\n", strings.TrimPrefix(path, dir), info.Mode(), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func mkfifo(t testing.TB, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// operation is a method of Owner, on one path.
type operation struct {
	name   string
	writes bool
	do     func(o *Owner, a *Access, p Path) error
}

// operations are all methods. Those that need a second path have one in the directory in.
func operations(w world) []operation {
	ctx := context.Background()
	id := 0
	open := func(mode Mode) func(o *Owner, a *Access, p Path) error {
		return func(o *Owner, a *Access, p Path) error {
			id++
			name := fmt.Sprint("h", id)
			defer o.CloseHandle(name)
			return o.Open(ctx, a, name, p, mode)
		}
	}
	return []operation{
		{"ReadFile", false, func(o *Owner, a *Access, p Path) error { _, err := o.ReadFile(ctx, a, p); return err }},
		{"Open", false, open(ForReading)},
		{"GetMetadata", false, func(o *Owner, a *Access, p Path) error { _, err := o.GetMetadata(ctx, a, p); return err }},
		{"Canonicalize", false, func(o *Owner, a *Access, p Path) error { _, err := o.Canonicalize(ctx, a, p); return err }},
		{"ReadDirectory", false, func(o *Owner, a *Access, p Path) error { _, err := o.ReadDirectory(ctx, a, p); return err }},
		{"Walk", false, func(o *Owner, a *Access, p Path) error {
			_, err := o.Walk(ctx, a, p, WalkOptions{MaxDepth: 3, MaxDirectories: 10, MaxEntries: 100})
			return err
		}},
		{"Copy from", false, func(o *Owner, a *Access, p Path) error { return o.Copy(ctx, a, p, at(w.in+"/copy"), true) }},
		{"Copy to", true, func(o *Owner, a *Access, p Path) error { return o.Copy(ctx, a, at(w.in+"/a.txt"), p, true) }},
		{"Copy tree to", true, func(o *Owner, a *Access, p Path) error { return o.Copy(ctx, a, at(w.in+"/dir"), p, true) }},
		{"WriteFile", true, func(o *Owner, a *Access, p Path) error { return o.WriteFile(ctx, a, p, []byte("x")) }},
		{"Open for replacing", true, open(ForReplacing)},
		{"CreateDirectory", true, func(o *Owner, a *Access, p Path) error { return o.CreateDirectory(ctx, a, p, false) }},
		{"CreateDirectory recursive", true, func(o *Owner, a *Access, p Path) error { return o.CreateDirectory(ctx, a, p, true) }},
		{"Remove", true, func(o *Owner, a *Access, p Path) error { return o.Remove(ctx, a, p, RemoveOptions{}) }},
		{"Remove recursive", true, func(o *Owner, a *Access, p Path) error {
			return o.Remove(ctx, a, p, RemoveOptions{Recursive: true, Force: true})
		}},
	}
}

func wantKind(t testing.TB, what string, err, kind error) {
	t.Helper()
	if kind == nil && err != nil || kind != nil && !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}
