package files

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// exchange exchanges two entries atomically.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// racing returns a world with what is exchanged: a directory for a link to one outside, and a file for
// a link to one outside.
func racing(t *testing.T) world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := world{dir, dir + "/in", dir + "/out"}
	w.make(t, map[string]string{
		"in/race/secret": "mine", "in/race/tree/x": "mine", "in/race-link": "-> " + w.out,
		"in/file": "mine", "in/file-link": "-> " + w.out + "/secret",
		"in/a.txt": "hello", "in/dir/b.txt": "inner", "in/dir/sub/": "", "out/secret": "secret", "out/tree/x": "x",
	})
	return w
}

// TestExchangedAtEachStep exchanges a directory and a file for links when an operation has come to each
// of its steps in turn.
func TestExchangedAtEachStep(t *testing.T) {
	for _, op := range operations(world{}) {
		t.Run(op.name, func(t *testing.T) {
			paths := []string{"/race", "/race/secret", "/file"}
			if op.writes {
				paths = append(paths, "/race/new")
			}
			for _, path := range paths {
				for step := 1; exchangedAt(t, op.name, path, step); step++ {
				}
			}
		})
	}
}

// exchangedAt runs an operation, and exchanges at a step. It returns false if there is no such step.
func exchangedAt(t *testing.T, name, path string, step int) bool {
	t.Helper()
	w := racing(t)
	defer os.RemoveAll(w.dir)
	steps := 0
	o := newOwner(t, Options{hook: func(_, path string) {
		if path != "" && !strings.HasPrefix(path, w.in+"/") {
			return // above what is exchanged
		}
		if steps++; steps == step {
			if err := errors.Join(exchange(w.in+"/race", w.in+"/race-link"), exchange(w.in+"/file", w.in+"/file-link")); err != nil {
				t.Error(err)
			}
		}
	}})
	outside := snapshot(t, w.out)
	for _, op := range operations(w) {
		if op.name != name {
			continue
		}
		err := op.do(o, only(w.in), at(w.in+path))
		if err != nil && !errors.As(err, new(*Error)) {
			t.Errorf("step %d: %v", step, err)
		}
	}
	if after := snapshot(t, w.out); after != outside {
		t.Fatalf("%s of %s, exchanged at step %d, changed what is outside:\n%s", name, path, step, after)
	}
	if inside := snapshot(t, w.in); strings.Contains(inside, `"secret"`) {
		t.Fatalf("%s of %s, exchanged at step %d, copied what is outside", name, path, step)
	}
	return steps >= step
}

// TestReadExchangedAtEachStep is the same for what is returned.
func TestReadExchangedAtEachStep(t *testing.T) {
	for _, path := range []string{"/race/secret", "/file"} {
		for step := 1; ; step++ {
			w := racing(t)
			steps := 0
			o := newOwner(t, Options{hook: func(_, path string) {
				if path != "" && !strings.HasPrefix(path, w.in+"/") {
					return
				}
				if steps++; steps == step {
					if err := errors.Join(exchange(w.in+"/race", w.in+"/race-link"), exchange(w.in+"/file", w.in+"/file-link")); err != nil {
						t.Error(err)
					}
				}
			}})
			b, err := o.ReadFile(context.Background(), only(w.in), at(w.in+path))
			if err == nil && string(b) != "mine" || err != nil && !errors.Is(err, ErrForbidden) {
				t.Fatalf("step %d of %s: %q, %v", step, path, b, err)
			}
			if steps < step {
				break
			}
		}
	}
}

// TestRace exchanges them all the time, while operations run.
func TestRace(t *testing.T) {
	w := racing(t)
	o := newOwner(t, Options{})
	outside := snapshot(t, w.out)
	ctx, cancel := context.WithCancel(context.Background())
	var exchanging sync.WaitGroup
	var exchanges atomic.Int64
	exchanging.Go(func() {
		for ctx.Err() == nil {
			// Removals and copies change what there is; then one of them fails.
			_ = exchange(w.in+"/race", w.in+"/race-link")
			_ = exchange(w.in+"/file", w.in+"/file-link")
			exchanges.Add(1)
		}
	})
	defer exchanging.Wait()
	defer cancel()
	const rounds = 300
	refused, read := 0, 0
	for i := range rounds {
		for _, path := range []string{"/race/secret", "/file"} {
			b, err := o.ReadFile(ctx, only(w.in), at(w.in+path))
			switch {
			case err == nil && string(b) != "mine" && len(b) > 0 && string(b) != "written":
				t.Fatalf("%q was read", b)
			case err == nil:
				read++
			default:
				refused++
			}
			_ = o.WriteFile(ctx, only(w.in), at(w.in+path), []byte("written"))
			if entries, err := o.ReadDirectory(ctx, only(w.in), at(w.in+"/race")); err == nil && len(entries) > 3 {
				t.Fatalf("%v", entries)
			}
		}
		if i%10 == 0 {
			_ = o.CreateDirectory(ctx, only(w.in), at(w.in+"/race/made"), true)
			_ = o.Copy(ctx, only(w.in), at(w.in+"/race"), at(w.in+"/copied"), true)
			_ = o.Copy(ctx, only(w.in), at(w.in+"/dir"), at(w.in+"/race/tree"), true)
			_ = o.Remove(ctx, only(w.in), at(w.in+"/race/tree"), RemoveOptions{Recursive: true})
			_ = o.Remove(ctx, only(w.in), at(w.in+"/copied"), RemoveOptions{Recursive: true})
		}
	}
	if after := snapshot(t, w.out); after != outside {
		t.Errorf("what is outside was changed:\n%s", after)
	}
	if inside := snapshot(t, w.in+"/dir"); strings.Contains(inside, `"secret"`) {
		t.Error("what is outside was copied")
	}
	if read == 0 || refused == 0 {
		t.Logf("of %d reads %d were refused, with %d exchanges", 2*rounds, refused, exchanges.Load())
	}
}

// TestRemoveRace removes a tree in which directories are exchanged for links to one outside.
func TestRemoveRace(t *testing.T) {
	w := newWorld(t)
	outside := snapshot(t, w.out)
	for range 100 {
		w.make(t, map[string]string{"in/t/a/b/c": "x", "in/t/a/d/e": "x", "in/t/f/g": "x"})
		if err := os.Symlink(w.out, w.in+"/t/l"); err != nil {
			t.Fatal(err)
		}
		first := true
		o := NewPool(Options{Timeout: patience, hook: func(point, path string) {
			if point == "remove" && first && path != w.in+"/t" {
				first = false
				_ = exchange(w.in+"/t/l", w.in+"/t/a")
				_ = exchange(w.in+"/t/l", w.in+"/t/f")
			}
		}}).NewOwner("alice")
		var racing sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		racing.Go(func() {
			for ctx.Err() == nil {
				_ = exchange(w.in+"/t/l", w.in+"/t/a")
			}
		})
		_ = o.Remove(context.Background(), only(w.in), at(w.in+"/t"), RemoveOptions{Recursive: true})
		cancel()
		racing.Wait()
		o.Close()
		if after := snapshot(t, w.out); after != outside {
			t.Fatalf("what is outside was changed:\n%s", after)
		}
		if err := os.RemoveAll(w.in + "/t"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExchangedInTree exchanges a directory in the one that is copied or removed, at each step.
func TestExchangedInTree(t *testing.T) {
	for _, remove := range []bool{false, true} {
		for step, steps := 1, 1; steps >= step-1; step++ { // the last one had no such step
			w := racing(t)
			w.make(t, map[string]string{"in/t/sub/secret": "mine", "in/t/sub/tree/x": "mine", "in/t/other/y": "mine"})
			steps = 0
			o := newOwner(t, Options{hook: func(point, _ string) {
				if point != "remove" && point != "copy" {
					return
				}
				if steps++; steps == step {
					_ = exchange(w.in+"/t/sub", w.in+"/race-link") // a part may be removed by now
				}
			}})
			outside := snapshot(t, w.out)
			var err error
			if remove {
				err = o.Remove(context.Background(), only(w.in), at(w.in+"/t"), RemoveOptions{Recursive: true})
			} else {
				err = o.Copy(context.Background(), only(w.in), at(w.in+"/t"), at(w.in+"/copied"), true)
			}
			if err != nil && !errors.Is(err, ErrSymlink) && !errors.Is(err, ErrNotDirectory) && !errors.Is(err, ErrNotFound) {
				t.Errorf("step %d: %v", step, err)
			}
			if after := snapshot(t, w.out); after != outside {
				t.Fatalf("removing is %v, step %d: what is outside was changed:\n%s", remove, step, after)
			}
			if inside := snapshot(t, w.in); strings.Contains(inside, `"secret"`) {
				t.Fatalf("step %d: what is outside was copied", step)
			}
		}
	}
}

// TestExchangedForFIFO exchanges a file for a FIFO at each step: nothing waits for its other end, or
// reads from it.
func TestExchangedForFIFO(t *testing.T) {
	for step, steps := 1, 1; steps >= step-1; step++ { // the last one had no such step
		w := racing(t)
		mkfifo(t, w.in+"/fifo")
		steps = 0
		o := newOwner(t, Options{hook: func(_, path string) {
			if !strings.HasPrefix(path, w.in+"/") {
				return
			}
			if steps++; steps == step {
				if err := exchange(w.in+"/file", w.in+"/fifo"); err != nil {
					t.Error(err)
				}
			}
		}})
		if b, err := o.ReadFile(context.Background(), everything, at(w.in+"/file")); err == nil && string(b) != "mine" || err != nil && !errors.Is(err, ErrNotRegular) {
			t.Errorf("step %d: %q, %v", step, b, err)
		}
	}
}

// TestRemoveExchanged removes what becomes a directory, or a file, just before: it is removed all the same.
func TestRemoveExchanged(t *testing.T) {
	w := racing(t)
	w.make(t, map[string]string{"in/hollow/": ""})
	for _, path := range []string{"/file", "/hollow"} {
		first := true
		o := newOwner(t, Options{hook: func(point, _ string) {
			if point == "remove" && first {
				first = false
				if err := exchange(w.in+"/file", w.in+"/hollow"); err != nil {
					t.Error(err)
				}
			}
		}})
		if err := o.Remove(context.Background(), everything, at(w.in+path), RemoveOptions{}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		w.make(t, map[string]string{"in/hollow2/": "", "in/file2": "mine"})
		if err := errors.Join(os.RemoveAll(w.in+"/file"), os.RemoveAll(w.in+"/hollow"), os.Rename(w.in+"/file2", w.in+"/file"), os.Rename(w.in+"/hollow2", w.in+"/hollow")); err != nil {
			t.Fatal(err)
		}
	}
}
