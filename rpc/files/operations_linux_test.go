package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{MaxReadBytes: 1 << 20})
	ctx := context.Background()
	for path, want := range map[string]string{"/a.txt": "hello", "/link": "hello", "/back": "hello", "/dlink/b.txt": "inner", "//dir/./b.txt": "inner"} {
		if b, err := o.ReadFile(ctx, everything, at(w.in+path)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	for path, want := range map[string]error{
		"/dir": ErrIsDirectory, "/none": ErrNotFound, "/dangling": ErrNotFound, "/loop": ErrSymlink, "/a.txt/x": ErrNotDirectory,
		"/none/x": ErrNotFound, "/" + strings.Repeat("n", 256): ErrInvalidPath,
	} {
		_, err := o.ReadFile(ctx, everything, at(w.in+path))
		wantKind(t, path, err, want)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(w.in+"/big", big, 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := o.ReadFile(ctx, everything, at(w.in+"/big")); err != nil || !bytes.Equal(b, big) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := os.WriteFile(w.in+"/big", append(big, 'x'), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := o.ReadFile(ctx, everything, at(w.in+"/big"))
	if wantKind(t, "too large", err, ErrTooLarge); err == nil || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("%v does not name the limit", err)
	}
	if b, err := o.ReadFile(ctx, everything, at("/proc/version")); err != nil || !bytes.HasPrefix(b, []byte("Linux")) { // it has size 0
		t.Errorf("%q, %v", b, err)
	}
}

// TestReadGrowing reads a file that grows beyond the limit while it is read.
func TestReadGrowing(t *testing.T) {
	w := newWorld(t)
	o := newOwner(t, Options{MaxReadBytes: 1000, hook: func(point, _ string) {
		if point == "read" {
			f, err := os.OpenFile(w.in+"/a.txt", os.O_WRONLY|os.O_APPEND, 0)
			if err == nil {
				_, err = f.Write(make([]byte, 600))
				_ = f.Close()
			}
			if err != nil {
				panic(err)
			}
		}
	}})
	_, err := o.ReadFile(context.Background(), everything, at(w.in+"/a.txt"))
	wantKind(t, "a file that grows", err, ErrTooLarge)
}

func TestWriteFile(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	ctx := context.Background()
	if err := os.Chmod(w.in+"/a.txt", 0o750); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 3<<20)
	for _, c := range []struct {
		path, at string // relative to in
		data     []byte
		want     error
	}{
		{"/link", "/a.txt", []byte("new"), nil},
		{"/dangling", "/missing", []byte("made"), nil},
		{"/fresh", "/fresh", big, nil},
		{"/empty", "/empty", nil, nil},
		{"/dir", "", nil, ErrIsDirectory},
		{"/no/x", "", nil, ErrNotFound},
		{"/a.txt/x", "", nil, ErrNotDirectory},
		{"/loop", "", nil, ErrSymlink},
	} {
		err := o.WriteFile(ctx, everything, at(w.in+c.path), c.data)
		if wantKind(t, c.path, err, c.want); c.want == nil && content(t, w.in+c.at) != string(c.data) {
			t.Errorf("%s has other content", c.path)
		}
	}
	if info, err := os.Stat(w.in + "/a.txt"); err != nil || info.Mode() != 0o750 {
		t.Errorf("the mode became %v, %v", info.Mode(), err)
	}
	old := unix.Umask(0)
	unix.Umask(old)
	if info, err := os.Stat(w.in + "/fresh"); err != nil || int(info.Mode()) != 0o666&^old {
		t.Errorf("the mode of a new file is %v with the umask %o, %v", info.Mode(), old, err)
	}
}

func TestGetMetadata(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	ctx := context.Background()
	mkfifo(t, w.in+"/fifo")
	if err := os.Chtimes(w.in+"/a.txt", time.Time{}, time.UnixMilli(1_234_567_890_123)); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Hour).UnixMilli()
	for path, want := range map[string]Metadata{
		"/a.txt": {Regular: true, Size: 5, Modified: 1_234_567_890_123}, "/link": {Regular: true, Symlink: true, Size: 5, Modified: 1_234_567_890_123},
		"/dir": {Directory: true}, "/dlink": {Directory: true, Symlink: true}, "/dlink/sub": {Directory: true}, "/fifo": {}, "/dir/": {Directory: true},
	} {
		m, err := o.GetMetadata(ctx, everything, at(w.in+path))
		if m.Created != 0 && m.Created < before {
			t.Errorf("%s: created at %d", path, m.Created)
		}
		m.Created = 0
		if !want.Regular {
			m.Modified, m.Size = 0, 0
		}
		if err != nil || m != want {
			t.Errorf("%s: %+v, %v, want %+v", path, m, err, want)
		}
	}
	if m, err := o.GetMetadata(ctx, everything, at("/")); err != nil || !m.Directory {
		t.Errorf("%+v, %v", m, err)
	}
	_, err := o.GetMetadata(ctx, everything, at(w.in+"/dangling"))
	wantKind(t, "dangling", err, ErrNotFound)
}

// TestNoFollow refuses every path with a symbolic link, for all operations.
func TestNoFollow(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	before := snapshot(t, w.dir)
	for _, op := range operations(w) {
		for _, path := range []string{"/dlink/sub", "/dlink/b.txt", "/dlink/new", "/away/secret", "/link/x"} {
			err := op.do(o, everything, Path{Name: w.in + path, NoFollow: true})
			wantKind(t, op.name+" "+path, err, ErrSymlink)
		}
		if strings.HasPrefix(op.name, "Remove") || op.name == "Copy from" || op.name == "CreateDirectory" {
			continue // they do not follow the last component
		}
		for _, path := range []string{"/link", "/dangling"} {
			wantKind(t, op.name+" "+path, op.do(o, everything, Path{Name: w.in + path, NoFollow: true}), ErrSymlink)
		}
	}
	if after := snapshot(t, w.dir); after != before {
		t.Errorf("files were changed:\n%s\nbefore:\n%s", after, before)
	}
	if b, err := o.ReadFile(context.Background(), everything, Path{Name: w.in + "/a.txt", NoFollow: true}); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestCanonicalize(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"in/up": "-> dir/../../out/./tree", "in/dir/back": "-> ..", "in/root": "-> /"})
	for path, want := range map[string]string{
		"/link": "/in/a.txt", "/dlink/sub": "/in/dir/sub", "/up/x": "/out/tree/x", "/dir/back": "/in", "/dir/back/dir/back/a.txt": "/in/a.txt",
		"/root" + w.out: "/out", "//dir//sub//": "/in/dir/sub",
	} {
		if got, err := o.Canonicalize(context.Background(), everything, at(w.in+path)); err != nil || got != w.dir+want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	for path, want := range map[string]error{"/dangling": ErrNotFound, "/loop": ErrSymlink, "/none": ErrNotFound} {
		_, err := o.Canonicalize(context.Background(), everything, at(w.in+path))
		wantKind(t, path, err, want)
	}
	if got, err := o.Canonicalize(context.Background(), everything, at("/")); err != nil || got != "/" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestManyLinks has 40 symbolic links one after the other, which are followed, and 41.
func TestManyLinks(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	w.make(t, map[string]string{"in/l0": "-> dir"})
	for i := 1; i <= maxLinks; i++ {
		w.make(t, map[string]string{"in/l" + string(rune('A'+i)): "-> l" + map[bool]string{true: "0", false: string(rune('A' + i - 1))}[i == 1]})
	}
	last := w.in + "/l" + string(rune('A'+maxLinks-1))
	if b, err := o.ReadFile(context.Background(), everything, at(last+"/b.txt")); err != nil || string(b) != "inner" {
		t.Errorf("%q, %v", b, err)
	}
	_, err := o.ReadFile(context.Background(), everything, at(w.in+"/l"+string(rune('A'+maxLinks))+"/b.txt"))
	wantKind(t, "41 links", err, ErrSymlink)
}

func TestReadDirectory(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	mkfifo(t, w.in+"/fifo")
	if err := os.WriteFile(w.in+"/\xff", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := o.ReadDirectory(context.Background(), everything, at(w.in))
	want := []DirectoryEntry{
		{"a.txt", false, true}, {"away", true, false}, {"back", false, true}, {"dir", true, false}, {"dlink", true, false}, {"far", false, true},
		{"fifo", false, false}, {"link", false, true}, {"\xff", false, true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v\nwant %v", got, err, want)
	}
	if got, err := o.ReadDirectory(context.Background(), everything, at(w.in+"/dlink")); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := o.ReadDirectory(context.Background(), everything, at("/")); err != nil || len(got) < 3 {
		t.Errorf("%v, %v", got, err)
	}
	for path, want := range map[string]error{"/a.txt": ErrNotDirectory, "/none": ErrNotFound, "/fifo": ErrNotDirectory} {
		_, err := o.ReadDirectory(context.Background(), everything, at(w.in+path))
		wantKind(t, path, err, want)
	}
}

// TestManyEntries has directories with as many entries as are listed, and with one more.
func TestManyEntries(t *testing.T) {
	const listed = 3000 // more than are read at a time
	w, o := newWorld(t), newOwner(t, Options{listed: listed})
	ctx, dir := context.Background(), w.in+"/many"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range listed {
		if err := os.WriteFile(fmt.Sprintf("%s/%04d", dir, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := o.ReadDirectory(ctx, everything, at(dir)); err != nil || len(all) != listed || all[17].Name != "0017" {
		t.Errorf("%d entries, %v", len(all), err)
	}
	for limit, want := range map[int]bool{listed: false, listed - 1: true, 1: true} {
		r, err := o.Walk(ctx, everything, at(dir), WalkOptions{MaxDirectories: 1, MaxEntries: limit})
		if err != nil || r.Truncated != want || len(r.Entries) != limit {
			t.Errorf("%d of at most %d entries, truncated %v, %v", len(r.Entries), limit, r.Truncated, err)
		}
	}
	if err := os.WriteFile(dir+"/more", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := o.ReadDirectory(ctx, everything, at(dir))
	wantKind(t, "too many entries", err, ErrTooLarge)
	if err := o.Remove(ctx, everything, at(dir), RemoveOptions{Recursive: true}); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("it is left: %v", err)
	}
}

func TestCreateDirectory(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	for _, c := range []struct {
		path      string
		recursive bool
		want      error
	}{
		{"/dir", true, nil}, {"/dir", false, ErrExists}, {"/x/y/z", false, ErrNotFound}, {"/x/y/z", true, nil}, {"/x/y/w", false, nil},
		{"/a.txt", true, ErrExists}, {"/dangling", true, ErrExists}, {"/dangling", false, ErrExists}, {"/dlink/new", true, nil}, {"/dlink", true, nil},
		{"/dlink", false, ErrExists}, {"/a.txt/b", true, ErrNotDirectory}, {"/loop/x", true, ErrSymlink}, {"/dir/s/", true, nil},
	} {
		err := o.CreateDirectory(context.Background(), everything, at(w.in+c.path), c.recursive)
		if wantKind(t, c.path, err, c.want); c.want == nil {
			if info, err := os.Stat(w.in + c.path); err != nil || !info.IsDir() {
				t.Errorf("%s was not made: %v", c.path, err)
			}
		}
	}
	if err := o.CreateDirectory(context.Background(), everything, at("/"), true); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.in + "/dir/new"); err != nil {
		t.Error(err)
	}
}

func TestRemove(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	mkfifo(t, w.in+"/fifo")
	w.make(t, map[string]string{"in/dir/out": "-> " + w.out, "in/dir/sub/deep/x": "x", "in/hollow/": ""})
	deep := w.in + "/deep"
	if err := os.MkdirAll(deep+strings.Repeat("/0123456789", 300), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path    string
		options RemoveOptions
		want    error
	}{
		{"/link", RemoveOptions{}, nil}, {"/link", RemoveOptions{}, ErrNotFound}, {"/link", RemoveOptions{Force: true}, nil},
		{"/no/x", RemoveOptions{Force: true}, nil}, {"/dlink/", RemoveOptions{Recursive: true}, nil}, {"/dangling", RemoveOptions{}, nil},
		{"/fifo", RemoveOptions{}, nil}, {"/dir", RemoveOptions{}, ErrNotEmpty}, {"/a.txt/x", RemoveOptions{Force: true}, ErrNotDirectory},
		{"/hollow", RemoveOptions{}, nil}, {"/dir", RemoveOptions{Recursive: true}, nil}, {"/deep", RemoveOptions{Recursive: true}, nil},
	} {
		err := o.Remove(context.Background(), everything, at(w.in+c.path), c.options)
		if wantKind(t, c.path, err, c.want); c.want == nil {
			if _, err := os.Lstat(w.in + strings.TrimSuffix(c.path, "/")); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", c.path, err)
			}
		}
	}
	if content(t, w.out+"/secret") != "secret" {
		t.Error("a link was followed")
	}
	err := o.Remove(context.Background(), everything, at("/"), RemoveOptions{})
	wantKind(t, "/", err, ErrInvalid)
}

func TestCopy(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	mkfifo(t, w.in+"/fifo")
	mkfifo(t, w.in+"/dir/fifo")
	w.make(t, map[string]string{"in/dir/out": "-> " + w.out, "in/over": "longer than hello", "in/merge/b.txt": "old", "in/merge/keep": "kept", "in/bad/b.txt/": ""})
	if err := os.Chmod(w.in+"/a.txt", 0o6750|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to  string
		recursive bool
		want      error
	}{
		{"/a.txt", "/b.txt", false, nil}, {"/a.txt", "/over", false, nil}, {"/dlink/b.txt", "/inner", false, nil}, {"/link", "/link2", false, nil},
		{"/link", "/over", false, ErrExists}, {"/b.txt", "/dangling", false, nil}, {"/fifo", "/f2", false, ErrNotRegular}, {"/dir", "/d2", false, ErrIsDirectory},
		{"/dir", "/new/d2", true, nil}, {"/dir", "/dir/in", true, ErrInvalid}, {"/dir", "/dlink/sub/x/y", true, ErrInvalid}, {"/dir", "/dir", true, ErrInvalid},
		{"/a.txt", "/dir", false, ErrIsDirectory}, {"/dir", "/a.txt", true, ErrExists}, {"/a.txt", "/a.txt", false, ErrInvalid}, {"/a.txt", "/link", false, ErrInvalid},
		{"/none", "/x", false, ErrNotFound}, {"/a.txt", "/no/x", false, ErrNotFound}, {"/dlink", "/dl2", true, nil}, {"/dir", "/merge", true, nil},
		{"/dir", "/bad", true, ErrIsDirectory}, {"/dir", "/merge", true, ErrExists}, // the link in it exists now
	} {
		err := o.Copy(context.Background(), everything, at(w.in+c.from), at(w.in+c.to), c.recursive)
		wantKind(t, c.from+" to "+c.to, err, c.want)
	}
	for path, want := range map[string]string{"/a.txt": "hello", "/b.txt": "hello", "/over": "hello", "/missing": "hello", "/inner": "inner", "/new/d2/b.txt": "inner", "/merge/b.txt": "inner", "/merge/keep": "kept"} {
		if got := content(t, w.in+path); got != want {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{"/link2": "a.txt", "/dl2": "dir", "/new/d2/out": w.out} {
		if got, err := os.Readlink(w.in + path); err != nil || got != want {
			t.Errorf("%s leads to %q, %v", path, got, err)
		}
	}
	if info, err := os.Stat(w.in + "/over"); err != nil || info.Mode() != 0o750 {
		t.Errorf("the mode of the copy is %v, %v", info.Mode(), err)
	}
	for _, path := range []string{"/new/d2/fifo", "/dir/in", "/dir/sub/x"} {
		if _, err := os.Lstat(w.in + path); !os.IsNotExist(err) {
			t.Errorf("%s was made: %v", path, err)
		}
	}
}

// TestFIFO checks that no operation waits for the other end of a FIFO, or opens a device or a socket.
func TestFIFO(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	mkfifo(t, w.in+"/fifo")
	if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	} else {
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: w.in + "/sock"}); err != nil && !errors.Is(err, unix.EINVAL) { // the path may be too long
			t.Fatal(err)
		}
	}
	for _, op := range operations(w) {
		for _, path := range []string{w.in + "/fifo", "/dev/null", "/dev/zero", w.in + "/sock"} {
			if _, err := os.Lstat(path); err != nil || strings.HasPrefix(op.name, "Remove") {
				continue
			}
			err := op.do(o, everything, at(path))
			switch op.name {
			case "GetMetadata", "Canonicalize", "Walk":
				wantKind(t, op.name+" "+path, err, nil)
			case "ReadDirectory":
				wantKind(t, op.name+" "+path, err, ErrNotDirectory)
			case "CreateDirectory", "CreateDirectory recursive", "Copy tree to":
				wantKind(t, op.name+" "+path, err, ErrExists)
			default:
				wantKind(t, op.name+" "+path, err, ErrNotRegular)
			}
		}
	}
}
