package files

import (
	"context"
	"reflect"
	"strings"
	"testing"
)

// walked returns the entries below a directory, directories with a slash at the end.
func walked(r WalkResult, dir string) (all []string) {
	for _, e := range r.Entries {
		name := strings.TrimPrefix(e.Path, dir+"/")
		if e.Directory {
			name += "/"
		}
		all = append(all, name)
	}
	return all
}

// TestWalk has the results of Codex's own server for the same files and options.
func TestWalk(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{
		"w/a.txt": "hello", "w/link": "-> a.txt", "w/dang": "-> missing", "w/dlink": "-> dir", "w/loop": "-> loop", "w/empty/": "",
		"w/dir/.h": "x", "w/dir/.hid/x": "x", "w/dir/sub/": "", "w/dir/up": "-> ..",
	})
	mkfifo(t, w.dir+"/w/fifo")
	dir := w.dir + "/w"
	standard := WalkOptions{MaxDepth: 10, MaxDirectories: 100, MaxEntries: 1000}
	for _, c := range []struct {
		path      string
		change    func(o *WalkOptions)
		want      string
		truncated bool
	}{
		{"", func(*WalkOptions) {}, "a.txt dir/ empty/ dir/.h dir/.hid/ dir/sub/ dir/.hid/x", false},
		{"", func(o *WalkOptions) { o.FollowDirectories = true }, "a.txt dir/ dlink/ empty/ dir/.h dir/.hid/ dir/sub/ dir/up/ dir/.hid/x", false},
		{"", func(o *WalkOptions) { o.SkipHidden = true }, "a.txt dir/ empty/ dir/.h dir/.hid/ dir/sub/", false},
		{"", func(o *WalkOptions) { o.MaxDepth = 1 }, "a.txt dir/ empty/ dir/.h dir/.hid/ dir/sub/", false},
		{"", func(o *WalkOptions) { o.MaxDepth = 0 }, "a.txt dir/ empty/", false},
		{"", func(o *WalkOptions) { o.MaxEntries = 3 }, "a.txt dir/", true},
		{"", func(o *WalkOptions) { o.MaxDirectories = 1 }, "a.txt dir/ empty/", true},
		{"/a.txt", func(*WalkOptions) {}, "", false},
		{"/dlink", func(*WalkOptions) {}, "", false},
		{"/dlink", func(o *WalkOptions) { o.FollowDirectories, o.MaxDepth = true, 0 }, ".h .hid/ sub/ up/", false},
		{"//./", func(o *WalkOptions) { o.MaxDepth = 0 }, "a.txt dir/ empty/", false},
	} {
		options := standard
		c.change(&options)
		r, err := o.Walk(context.Background(), everything, at(dir+c.path), options)
		got := strings.Join(walked(r, strings.TrimSuffix(dir+c.path, "//./")), " ")
		errors := 0
		if options.FollowDirectories && c.path == "" {
			errors = 1 // loop
		}
		if err != nil || got != c.want || r.Truncated != c.truncated || len(r.Errors) != errors {
			t.Errorf("%s %+v: %s, truncated %v, %v, %v\nwant %s", c.path, options, got, r.Truncated, r.Errors, err, c.want)
		}
	}
	_, err := o.Walk(context.Background(), everything, at(dir+"/none"), standard)
	wantKind(t, "none", err, ErrNotFound)
	for _, options := range []WalkOptions{
		{MaxDepth: MaxWalkDepth + 1, MaxDirectories: 1, MaxEntries: 1}, {MaxDirectories: MaxWalkDirectories + 1, MaxEntries: 1}, {MaxDirectories: 1, MaxEntries: MaxWalkEntries + 1},
	} {
		_, err := o.Walk(context.Background(), everything, at(dir), options)
		wantKind(t, "too large limits", err, ErrTooLarge)
	}
	for _, options := range []WalkOptions{{MaxEntries: 1}, {MaxDirectories: 1}, {MaxDepth: -1, MaxDirectories: 1, MaxEntries: 1}} {
		_, err := o.Walk(context.Background(), everything, at(dir), options)
		wantKind(t, "no limits", err, ErrInvalid)
	}
}

// TestWalkRestricted follows links, and finds nothing of what is not permitted.
func TestWalkRestricted(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	a := only(w.in)
	a.Hidden = []string{w.in + "/dir/sub"}
	options := WalkOptions{MaxDepth: 10, MaxDirectories: 100, MaxEntries: 1000, FollowDirectories: true}
	r, err := o.Walk(context.Background(), a, at(w.in), options)
	want := []string{"a.txt", "dir/", "dlink/", "dir/b.txt"}
	if got := walked(r, w.in); err != nil || !reflect.DeepEqual(got, want) || len(r.Errors) != 1 || r.Errors[0].Path != w.in+"/loop" {
		t.Errorf("%v, %v, %v", got, r.Errors, err)
	}
	_, err = o.Walk(context.Background(), a, at(w.dir), options)
	wantKind(t, "above", err, ErrForbidden)
}
