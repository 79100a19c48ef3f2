package files

import (
	"context"
	"os"
	"strings"
	"testing"
)

// TestReadOnly checks that nothing changes what Access.ReadOnly protects, under any of its paths, nor a symbolic
// link that leads to it, and that the rest can be changed and all can be read.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	w.make(t, map[string]string{
		"keys/real/jwks": "keys", "keys/current": "-> real", "keys/jwks": "-> current/jwks", "keys/dir/x": "x",
		"in/other": "-> ../keys", "in/free": "free",
	})
	if err := os.Link(w.dir+"/keys/real/jwks", w.dir+"/in/hard"); err != nil {
		t.Fatal(err)
	}
	o := newOwner(t, Options{})
	a := &Access{ReadOnly: []string{w.dir + "/keys/jwks", w.dir + "/keys/dir", w.dir + "/keys/later"}}
	before := snapshot(t, w.dir+"/keys")
	for _, op := range operations(w) {
		if !op.writes {
			continue
		}
		for _, name := range []string{
			"keys/jwks", "keys/current/jwks", "keys/real/jwks", "keys/current", "keys/real", "keys/dir", "keys/dir/x", "keys/dir/new",
			"keys/later", "keys", "in/other/jwks", "in/other/dir/x", "in/hard",
		} {
			if op.name == "Copy tree to" && (name == "keys" || name == "keys/current" || name == "keys/real") {
				continue // other files may be made there
			}
			err := op.do(o, a, at(w.dir+"/"+name))
			if now := snapshot(t, w.dir+"/keys"); now != before {
				t.Fatalf("%s %s has changed it: %v\n%s", op.name, name, err, now)
			}
			if op.name == "Remove recursive" {
				wantKind(t, op.name+" "+name, err, ErrForbidden)
			}
		}
	}
	tree := w.dir + "/tree"
	w.make(t, map[string]string{"tree/dir/x": "changed", "tree/real/jwks": "changed"})
	wantKind(t, "copy into the directory", o.Copy(ctx, a, at(tree), at(w.dir+"/keys"), true), ErrForbidden)
	wantKind(t, "copy over the hard link", o.Copy(ctx, a, at(tree+"/dir/x"), at(w.dir+"/in/hard"), false), ErrForbidden)
	wantKind(t, "remove above the hard link", o.Remove(ctx, a, at(w.in), RemoveOptions{Recursive: true}), ErrForbidden)
	if now := snapshot(t, w.dir+"/keys"); now != before || content(t, w.in+"/hard") != "keys" {
		t.Errorf("it was changed:\n%s", now)
	}
	data, err := o.ReadFile(ctx, a, at(w.dir+"/keys/jwks"))
	if err != nil || string(data) != "keys" {
		t.Errorf("it cannot be read: %q %v", data, err)
	}
	err = o.WriteFile(ctx, a, at(w.dir+"/keys/jwks"), nil)
	if err == nil || !strings.Contains(err.Error(), "read-only") && !strings.Contains(err.Error(), "the server") {
		t.Errorf("the error does not say why: %v", err)
	}
	wantKind(t, "write next to it", o.WriteFile(ctx, a, at(w.dir+"/keys/real/new"), nil), nil)
	wantKind(t, "remove what is next to it", o.Remove(ctx, a, at(w.dir+"/keys/real/new"), RemoveOptions{}), nil)
}
