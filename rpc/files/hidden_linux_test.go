package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestHiddenByIdentity checks that no operation reads, describes or changes a hidden file under another path that it
// has by a hard link, and that other files with several links can be used.
func TestHiddenByIdentity(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	w.make(t, map[string]string{
		"keys/token": "secret", "state/inside": "secret", "state/more/deep": "x", "keys/alias": "-> token", "in/linked/x": "x",
	})
	for from, to := range map[string]string{"keys/token": "in/one", "state/inside": "in/two", "in/a.txt": "in/three"} {
		if err := os.Link(w.dir+"/"+from, w.dir+"/"+to); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", w.in+"/soft"); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(w.dir+"/keys/token", w.in+"/linked/one"); err != nil {
		t.Fatal(err)
	}
	o := newOwner(t, Options{})
	a := &Access{Hidden: []string{w.dir + "/keys/alias", w.dir + "/state", w.dir + "/missing"}}
	before := snapshot(t, w.dir+"/keys") + snapshot(t, w.dir+"/state")
	for _, op := range operations(w) {
		for _, name := range []string{"one", "two", "soft"} {
			err := op.do(o, a, at(w.in+"/"+name))
			if name == "soft" && slices.Contains([]string{"Remove", "Remove recursive", "Copy from", "CreateDirectory"}, op.name) {
				continue // it is about the symbolic link
			}
			wantKind(t, op.name+" "+name, err, ErrForbidden)
			if e := (*Error)(nil); !errors.As(err, &e) || !e.Invisible {
				t.Errorf("%s %s: the error tells that it exists: %v", op.name, name, err)
			}
		}
		if now := snapshot(t, w.dir+"/keys") + snapshot(t, w.dir+"/state"); now != before {
			t.Fatalf("%s has changed a hidden file:\n%s", op.name, now)
		}
	}
	err := o.Copy(ctx, a, at(w.in+"/linked"), at(w.in+"/copied"), true)
	wantKind(t, "copy of a tree", err, ErrForbidden)
	if _, err := os.Stat(w.in + "/copied/one"); err == nil {
		t.Error("a hidden file was copied")
	}
	list, err := o.ReadDirectory(ctx, a, at(w.in))
	wantKind(t, "list", err, nil)
	walk, err := o.Walk(ctx, a, at(w.in), WalkOptions{MaxDepth: 1, MaxDirectories: 10, MaxEntries: 100})
	wantKind(t, "walk", err, nil)
	if text := fmt.Sprint(list, walk); strings.Contains(text, "one") || strings.Contains(text, "two") || !strings.Contains(text, "three") {
		t.Errorf("%s", text)
	}
	data, err := o.ReadFile(ctx, a, at(w.in+"/three"))
	if err != nil || string(data) != "hello" {
		t.Errorf("another file with two links: %q %v", data, err)
	}
	wantKind(t, "write another file with two links", o.WriteFile(ctx, a, at(w.in+"/three"), nil), nil)
}

// TestLargeHiddenDirectory checks that a hidden directory with many entries is hidden by its path.
func TestLargeHiddenDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range maxHiddenEntries + 1 {
		w.make(t, map[string]string{fmt.Sprintf("state/%d", i): "x"})
	}
	if err := os.Link(w.in+"/a.txt", w.in+"/linked"); err != nil {
		t.Fatal(err)
	}
	o := newOwner(t, Options{})
	a := &Access{Hidden: []string{w.dir + "/state"}}
	_, err := o.ReadFile(context.Background(), a, at(w.dir+"/state/1"))
	wantKind(t, "by its path", err, ErrForbidden)
	_, err = o.ReadFile(context.Background(), a, at(w.in+"/linked"))
	wantKind(t, "another file with two links", err, nil)
}
