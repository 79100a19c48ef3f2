package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestPathTricks tries every operation on paths that lead, or seem to lead, out of what is permitted.
func TestPathTricks(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"in/root": "-> /", "in/self": "-> /proc/self/root", "in/chain": "-> away/tree/../../out", "in/dev": "-> /dev/fd/0"})
	pid := fmt.Sprint(os.Getpid())
	before := snapshot(t, w.dir)
	for _, c := range []struct {
		path string
		want error
	}{
		{w.out + "/secret", ErrForbidden}, {w.out, ErrForbidden}, {"/etc/passwd", ErrForbidden}, {"/none", ErrForbidden},
		{w.in + "/away", ErrForbidden}, {w.in + "/away/secret", ErrForbidden}, {w.in + "/away/new", ErrForbidden}, {w.in + "/far", ErrForbidden},
		{w.in + "/chain/secret", ErrForbidden}, {w.in + "/root/etc/passwd", ErrForbidden}, {w.in + "/self/etc/passwd", ErrForbidden},
		{w.in + "/dev", ErrForbidden}, {w.in + "x/a", ErrForbidden}, {w.in[:len(w.in)-1], ErrForbidden},
		{"/proc/self/root" + w.in + "/a.txt", ErrForbidden}, {"/proc/self/cwd", ErrForbidden}, {"/proc/" + pid + "/environ", ErrForbidden},
		{w.in + "/../out/secret", ErrInvalidPath}, {w.in + "/dir/../a.txt", ErrInvalidPath}, {"in/a.txt", ErrInvalidPath}, {"", ErrInvalidPath}, {"..", ErrInvalidPath},
		{w.in + "/a.txt\x00", ErrInvalidPath}, {"/" + strings.Repeat("a/", 2048), ErrInvalidPath}, {"/" + strings.Repeat("a", MaxPathBytes), ErrInvalidPath},
		{w.in + "/" + strings.Repeat("a", 256), ErrInvalidPath},
	} {
		for _, op := range operations(w) {
			if (c.path == w.in+"/away" || c.path == w.in+"/far" || c.path == w.in+"/dev") && keepsLast(op.name) {
				continue // the link itself is permitted
			}
			err := op.do(o, only(w.in), at(c.path))
			if strings.HasSuffix(c.path, strings.Repeat("a", 256)) && strings.HasPrefix(op.name, "Copy tree") {
				continue // that the names above it are looked up first is no matter
			}
			what := fmt.Sprintf("%s %.60q", op.name, c.path)
			wantKind(t, what, err, c.want)
			e, ok := errors.AsType[*Error](err)
			if !ok || strings.Contains(e.Error(), "secret\"") && !strings.Contains(c.path, "secret") || e.Op == "" {
				t.Fatalf("%s: the error is %#v", what, err)
			}
			if c.want == ErrForbidden && (e.Rule != "principal.ci.directories" || !e.Invisible) {
				t.Errorf("%s: %#v", what, e)
			}
		}
	}
	if after := snapshot(t, w.dir); after != before {
		for _, line := range strings.Split(after, "\n") {
			if !strings.Contains(before, line) {
				t.Errorf("new: %s", line)
			}
		}
		t.Error("files were changed")
	}
}

// keepsLast reports whether an operation does not follow the last component.
func keepsLast(op string) bool {
	return strings.HasPrefix(op, "Remove") || op == "Copy from" || op == "CreateDirectory"
}

// TestNothingIsLearned compares the errors for what exists outside with those for what does not.
func TestNothingIsLearned(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	text := func(err error, path string) string {
		return strings.ReplaceAll(fmt.Sprint(err), fmt.Sprintf("%q", path), "PATH")
	}
	w.make(t, map[string]string{"in/to-none": "-> ../out/none", "in/to-file": "-> ../out/secret/x"})
	for _, op := range operations(w) {
		want := text(op.do(o, only(w.in), at(w.out+"/none")), w.out+"/none")
		for _, path := range []string{w.out + "/secret", w.out + "/secret/x", w.out + "/tree", w.out, "/etc", "/nowhere/at/all", "/etc/passwd/x"} {
			if got := text(op.do(o, only(w.in), at(path)), path); got != want {
				t.Errorf("%s of %s: %s, but of what does not exist: %s", op.name, path, got, want)
			}
		}
		if keepsLast(op.name) {
			continue
		}
		for _, path := range []string{w.in + "/to-none", w.in + "/to-file", w.in + "/far", w.in + "/away"} {
			if got := text(op.do(o, only(w.in), at(path)), path); got != want {
				t.Errorf("%s of %s: %s, but of what does not exist: %s", op.name, path, got, want)
			}
		}
	}
}

// TestDirectoriesAbove describes the directories that lead to a root, but does not list them.
func TestDirectoriesAbove(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	ctx := context.Background()
	for dir := parent(w.in); ; dir = parent(dir) {
		if m, err := o.GetMetadata(ctx, only(w.in), at(dir)); err != nil || !m.Directory {
			t.Errorf("%s: %+v, %v", dir, m, err)
		}
		_, err := o.ReadDirectory(ctx, only(w.in), at(dir))
		if wantKind(t, dir, err, ErrForbidden); err != nil && err.(*Error).Invisible {
			t.Errorf("%s is invisible", dir)
		}
		wantKind(t, dir, o.Remove(ctx, only(w.in), at(dir), RemoveOptions{Recursive: true}), ErrForbidden)
		wantKind(t, dir, o.CreateDirectory(ctx, only(w.in), at(dir), true), nil)
		if dir == "/" {
			break
		}
	}
	wantKind(t, "removing a root", o.Remove(ctx, only(w.in), at(w.in), RemoveOptions{Recursive: true}), ErrForbidden)
	wantKind(t, "writing next to a root", o.WriteFile(ctx, only(w.in), at(w.dir+"/x"), nil), ErrForbidden)
}

// TestRoots has a root that only permits to read, roots by a symbolic link, and roots that do not exist.
func TestRoots(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"alias": "-> in"})
	ctx := context.Background()
	a := &Access{Restricted: true, Rule: "r", Roots: []Root{{w.dir + "/alias", sandbox.Read}, {w.in + "/dir", sandbox.Write}, {w.dir + "/none/x", sandbox.Write}}}
	for _, path := range []string{"/alias/a.txt", "/in/a.txt", "/alias/dlink/b.txt"} {
		if _, err := o.ReadFile(ctx, a, at(w.dir+path)); err != nil {
			t.Error(err)
		}
	}
	wantKind(t, "write", o.WriteFile(ctx, a, at(w.in+"/a.txt"), nil), ErrForbidden)
	wantKind(t, "make", o.WriteFile(ctx, a, at(w.in+"/new"), nil), ErrForbidden)
	wantKind(t, "write below", o.WriteFile(ctx, a, at(w.dir+"/alias/dir/new"), []byte("x")), nil)
	wantKind(t, "copy", o.Copy(ctx, a, at(w.in+"/a.txt"), at(w.in+"/dlink/copied"), false), nil)
	wantKind(t, "below what does not exist", o.CreateDirectory(ctx, a, at(w.dir+"/none/x"), true), ErrForbidden)
	none := &Access{Restricted: true, Rule: "r"}
	for _, op := range operations(w) {
		if op.name == "CreateDirectory recursive" {
			continue
		}
		wantKind(t, op.name+" without roots", op.do(o, none, at(w.in+"/a.txt")), ErrForbidden)
	}
	_, err := o.GetMetadata(ctx, &Access{Roots: make([]Root, MaxRoots+1)}, at("/"))
	wantKind(t, "too many roots", err, ErrTooLarge)
	long := &Access{Restricted: true}
	w.make(t, map[string]string{"in/long": "-> " + strings.Repeat("dir/../", 500) + "dir"})
	for range MaxRoots {
		long.Roots = append(long.Roots, Root{w.in + "/long", sandbox.Read})
	}
	_, err = o.GetMetadata(ctx, long, at(w.in+"/dir"))
	wantKind(t, "roots that lead through too many names", err, ErrTooLarge)
}

// TestHidden hides a file and a directory, also where they are reached by a link.
func TestHidden(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"token": "-> out/secret"})
	for _, a := range []*Access{
		{Hidden: []string{w.dir + "/token", w.in + "/dir"}},
		{Hidden: []string{w.dir + "/token", w.in + "/dir"}, Restricted: true, Roots: []Root{{w.dir, sandbox.Write}}},
	} {
		for _, op := range operations(w) {
			for _, path := range []string{w.dir + "/token", w.out + "/secret", w.in + "/far", w.in + "/dir", w.in + "/dir/b.txt", w.in + "/dlink/b.txt"} {
				if path == w.in+"/far" && keepsLast(op.name) || op.name == "Copy tree to" {
					continue
				}
				wantKind(t, op.name+" "+path, op.do(o, a, at(path)), ErrForbidden)
			}
		}
		wantKind(t, "removing what has it", o.Remove(context.Background(), a, at(w.out), RemoveOptions{Recursive: true}), ErrForbidden)
		entries, err := o.ReadDirectory(context.Background(), a, at(w.in))
		if err != nil || strings.Contains(fmt.Sprint(entries), "dir") || strings.Contains(fmt.Sprint(entries), "far") {
			t.Errorf("%v, %v", entries, err)
		}
	}
	if content(t, w.out+"/secret") != "secret" || content(t, w.in+"/dir/b.txt") != "inner" {
		t.Error("a hidden file was changed")
	}
}

// TestOwnProcess checks that the files of this process in /proc are refused without any restriction.
func TestOwnProcess(t *testing.T) {
	o := newOwner(t, Options{})
	ctx := context.Background()
	pid, tid := fmt.Sprint(os.Getpid()), fmt.Sprint(unix.Gettid())
	for _, path := range []string{
		"/proc/self/environ", "/proc/self", "/proc/thread-self/environ", "/proc/" + pid + "/environ", "/proc/" + pid + "/mem", "/proc/" + pid + "/fd/0",
		"/proc/" + pid, "/proc/" + tid + "/environ", "/proc/" + pid + "/task/" + tid + "/environ", "/proc/0" + pid + "/environ", "/dev/fd/0", "/dev/stdin",
		"/proc/1/root/etc/passwd", "/proc/1/cwd", "/proc/mounts",
	} {
		if _, err := o.ReadFile(ctx, everything, at(path)); !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrSymlink) && !(path == "/proc/0"+pid+"/environ" && errors.Is(err, ErrNotFound)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, err := o.ReadFile(ctx, everything, at("/proc/1/comm")); err != nil || len(b) == 0 {
		t.Errorf("another process: %q, %v", b, err)
	}
	dir := t.TempDir()
	for _, path := range []string{"/proc", "/proc/1"} {
		wantKind(t, "a copy of "+path, o.Copy(ctx, everything, at(path), at(dir+"/copy"), true), ErrForbidden)
		_, err := o.Walk(ctx, everything, at(path), WalkOptions{MaxDirectories: 10, MaxEntries: 1000})
		wantKind(t, "a walk of "+path, err, ErrForbidden)
	}
	r, err := o.Walk(ctx, everything, at("/"), WalkOptions{MaxDepth: 1, MaxDirectories: 100, MaxEntries: MaxWalkEntries})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Entries {
		if strings.HasPrefix(e.Path, "/proc/") {
			t.Fatalf("%s was walked", e.Path)
		}
	}
}
