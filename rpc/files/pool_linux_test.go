package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// hanging is a file system on which system calls do not return until release is closed.
type hanging struct {
	entered chan string // gets the point of each operation that hangs
	release chan struct{}
	once    sync.Once
}

func hang(t *testing.T) *hanging {
	h := &hanging{entered: make(chan string, 100), release: make(chan struct{})}
	t.Cleanup(h.end)
	return h
}

func (h *hanging) end() { h.once.Do(func() { close(h.release) }) }

// hook hangs at paths that have a text.
func (h *hanging) hook(text string) func(point, path string) {
	return func(point, path string) {
		if strings.Contains(path, text) {
			h.entered <- point
			<-h.release
		}
	}
}

// TestTimeout gives every operation up that hangs.
func TestTimeout(t *testing.T) {
	w := newWorld(t)
	h := hang(t)
	o := newOwner(t, Options{Timeout: 50 * time.Millisecond, TreeTimeout: 50 * time.Millisecond, hook: h.hook("/in/dir")})
	t.Cleanup(h.end) // before the pool is waited for
	before := snapshot(t, w.dir)
	for i, op := range operations(w) {
		if op.name == "Copy to" || op.name == "Copy tree to" {
			continue
		}
		err := op.do(o, everything, at(w.in+"/dir/b.txt"))
		if wantKind(t, op.name, err, ErrTimeout); i < DefaultMaxOperationsOfPrincipal && !strings.Contains(fmt.Sprint(err), "50ms") {
			t.Errorf("%v does not name the limit", err)
		}
	}
	if after := snapshot(t, w.dir); after != before {
		t.Error("files were changed")
	}
}

// TestAbandonedOpen gives an open file up, which the pool has to close, and the handle with it.
func TestAbandonedOpen(t *testing.T) {
	w := newWorld(t)
	h := hang(t)
	o := newOwner(t, Options{MaxHandles: 1, hook: h.hook("/in/a.txt")})
	t.Cleanup(h.end)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- o.Open(ctx, everything, "h", at(w.in+"/a.txt"), ForReading) }()
	<-h.entered
	cancel()
	wantKind(t, "canceled", <-done, ErrCanceled)
	_, err := o.ReadBlock(context.Background(), "h", 0, 1)
	wantKind(t, "a handle that was not opened", err, ErrUnknownHandle)
	h.end()
	if err := o.pool.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if fds := openFiles(t, w.in+"/a.txt"); fds != 0 {
		t.Errorf("%d descriptors are left", fds)
	}
}

// openFiles returns how many descriptors of this process are of a file.
func openFiles(t *testing.T, path string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && target == path {
			n++
		}
	}
	return n
}

// TestHangingPrincipal lets the operations of one principal hang: those of another one run.
func TestHangingPrincipal(t *testing.T) {
	w := newWorld(t)
	h := hang(t)
	alice := newOwner(t, Options{MaxOperations: 3, MaxOperationsOfPrincipal: 2, Timeout: patience, hook: h.hook("/in/dir")})
	t.Cleanup(h.end)
	bob, also := alice.pool.NewOwner("bob"), alice.pool.NewOwner("alice")
	defer bob.Close()
	defer also.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			_, err := alice.ReadFile(ctx, everything, at(w.in+"/dir/b.txt"))
			wantKind(t, "a call that hangs", err, ErrCanceled)
		})
	}
	<-h.entered
	<-h.entered
	cancel()
	calls.Wait() // the operations still run
	short, end := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer end()
	_, err := also.ReadFile(short, everything, at(w.in+"/a.txt"))
	wantKind(t, "one more of the principal", err, ErrCanceled)
	if b, err := bob.ReadFile(context.Background(), everything, at(w.in+"/a.txt")); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	h.end()
	if b, err := also.ReadFile(context.Background(), everything, at(w.in+"/a.txt")); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestClosePool waits for an operation that hangs, as long as it may.
func TestClosePool(t *testing.T) {
	w := newWorld(t)
	h := hang(t)
	p := NewPool(Options{hook: h.hook("/in/a.txt")})
	o := p.NewOwner("alice")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { _, err := o.ReadFile(ctx, everything, at(w.in+"/a.txt")); done <- err }()
	<-h.entered
	cancel()
	<-done
	o.Close()
	if err := p.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("closed while an operation hangs: %v", err)
	}
	h.end()
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	for _, op := range operations(w) {
		wantKind(t, op.name, op.do(o, everything, at(w.in+"/a.txt")), ErrClosed)
		wantKind(t, op.name, op.do(p.NewOwner("bob"), everything, at(w.in+"/a.txt")), ErrClosed)
	}
}

func TestHandles(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{MaxHandlesOfOwner: 3, MaxHandles: 16})
	ctx := context.Background()
	open := func(id, path string, mode Mode, want error) {
		t.Helper()
		wantKind(t, id+" "+path, o.Open(ctx, everything, id, at(w.in+path), mode), want)
	}
	open("", "/link", ForReading, nil)
	open("", "/a.txt", ForReading, ErrHandleExists)
	open(strings.Repeat("x", MaxHandleIDBytes+1), "/a.txt", ForReading, ErrTooLarge)
	open("x", "/none", ForReading, ErrNotFound)
	open("x", "/dir", ForReplacing, ErrIsDirectory)
	for _, c := range []struct {
		offset int64
		length int
		want   string
		eof    bool
		err    error
	}{
		{1, 3, "ell", false, nil}, {0, 5, "hello", false, nil}, {1, 300, "ello", true, nil}, {100, 3, "", true, nil}, {0, 0, "", false, ErrInvalid},
		{0, MaxBlockBytes, "hello", true, nil}, {0, MaxBlockBytes + 1, "", false, ErrInvalid}, {-1, 1, "", false, ErrInvalid},
		{1<<63 - 1, 2, "", false, ErrInvalid}, {2, 1, "l", false, nil},
	} {
		b, err := o.ReadBlock(ctx, "", c.offset, c.length)
		if wantKind(t, fmt.Sprint(c), err, c.err); string(b.Data) != c.want || b.EOF != c.eof {
			t.Errorf("%+v: %q, %v", c, b.Data, b.EOF)
		}
	}
	wantKind(t, "write", o.WriteBlock(ctx, "", 0, []byte("x")), ErrHandleMode)
	if err := os.Rename(w.in+"/a.txt", w.in+"/moved"); err != nil {
		t.Fatal(err)
	}
	if b, err := o.ReadBlock(ctx, "", 0, 5); err != nil || string(b.Data) != "hello" { // it keeps its file
		t.Errorf("%q, %v", b.Data, err)
	}
	open("w", "/new", ForReplacing, nil)
	open("m", "/moved", ForReplacing, nil)
	if got := content(t, w.in+"/moved"); got != "" {
		t.Errorf("%q is left", got)
	}
	open("more", "/dir/b.txt", ForReading, ErrTooLarge)
	other := o.pool.NewOwner("bob")
	wantKind(t, "another owner", other.Open(ctx, everything, "w", at(w.in+"/dir/b.txt"), ForReading), nil)
	also := o.pool.NewOwner("alice")
	defer also.Close()
	wantKind(t, "another owner of the principal", also.Open(ctx, everything, "w", at(w.in+"/dir/b.txt"), ForReading), nil)
	wantKind(t, "too many of the principal", also.Open(ctx, everything, "v", at(w.in+"/dir/b.txt"), ForReading), ErrBusy)
	for i := range 3 { // other principals, until the pool has no more
		for n := range 4 {
			o := o.pool.NewOwner(fmt.Sprint("principal", i))
			defer o.Close()
			want := error(nil)
			if i == 2 && n == 3 {
				want = ErrBusy // 16 are open
			}
			wantKind(t, fmt.Sprint(i, n), o.Open(ctx, everything, "h", at(w.in+"/dir/b.txt"), ForReading), want)
		}
	}
	wantKind(t, "of another owner", other.WriteBlock(ctx, "m", 0, []byte("x")), ErrUnknownHandle)
	other.Close()
	other.Close()
	block := bytes.Repeat([]byte("b"), MaxBlockBytes)
	for _, c := range []struct {
		offset int64
		data   []byte
		err    error
	}{{2, []byte("xx"), nil}, {0, nil, ErrInvalid}, {5, block, nil}, {5, append(block, 'x'), ErrInvalid}, {1<<63 - 2, []byte("xx"), ErrInvalid}} {
		wantKind(t, fmt.Sprint(c.offset, len(c.data)), o.WriteBlock(ctx, "w", c.offset, c.data), c.err)
	}
	if got := content(t, w.in+"/new"); got != "\x00\x00xx\x00"+string(block) {
		t.Errorf("%d bytes", len(got))
	}
	_, err := o.ReadBlock(ctx, "w", 0, 1)
	wantKind(t, "read", err, ErrHandleMode)
	wantKind(t, "beyond the largest file", o.WriteBlock(ctx, "w", 1<<62, []byte("x")), ErrNoSpace)
	wantKind(t, "after an error", o.WriteBlock(ctx, "w", 0, []byte("x")), ErrUnknownHandle)
	o.CloseHandle("m")
	o.CloseHandle("m")
	wantKind(t, "closed", o.WriteBlock(ctx, "m", 0, []byte("x")), ErrUnknownHandle)
	o.Close()
	_, err = o.ReadBlock(ctx, "", 0, 1)
	wantKind(t, "closed owner", err, ErrClosed)
	open("", "/moved", ForReading, ErrClosed)
}

// TestReadMemory reads a file that another read leaves no memory for, and one that grows meanwhile.
func TestReadMemory(t *testing.T) {
	w := newWorld(t)
	h := hang(t)
	entered := make(chan struct{}, 10)
	o := newOwner(t, Options{MaxReadBytes: 10_000, MaxReadMemory: 40_000, Timeout: patience, hook: func(point, _ string) {
		if point == "read" {
			entered <- struct{}{}
			<-h.release
		}
	}})
	t.Cleanup(h.end)
	for name, size := range map[string]int{"large": 9_000, "small": 500} {
		if err := os.WriteFile(w.in+"/"+name, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var calls sync.WaitGroup
	calls.Go(func() {
		_, err := o.ReadFile(context.Background(), everything, at(w.in+"/large"))
		wantKind(t, "the first one", err, nil)
	})
	<-entered
	short, end := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer end()
	_, err := o.ReadFile(short, everything, at(w.in+"/large"))
	wantKind(t, "without memory", err, ErrCanceled)
	calls.Go(func() { // of another principal
		bob := o.pool.NewOwner("bob")
		defer bob.Close()
		_, err := bob.ReadFile(context.Background(), everything, at(w.in+"/large"))
		wantKind(t, "another principal", err, nil)
	})
	<-entered
	h.end()
	calls.Wait()
	if b, err := o.ReadFile(context.Background(), everything, at(w.in+"/small")); err != nil || len(b) != 500 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestConcurrentHandles opens, reads and closes the same handles from several goroutines, and closes the
// owner meanwhile.
func TestConcurrentHandles(t *testing.T) {
	w, o := newWorld(t), newOwner(t, Options{})
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			for n := range 100 {
				id := fmt.Sprint(n % 3)
				switch i % 4 {
				case 0, 1:
					_ = o.Open(context.Background(), everything, id, at(w.in+"/a.txt"), ForReading)
				case 2:
					if b, err := o.ReadBlock(context.Background(), id, 0, 5); err == nil && string(b.Data) != "hello" {
						t.Errorf("%q", b.Data)
					}
				case 3:
					if o.CloseHandle(id); n == 90 {
						o.Close()
					}
				}
			}
		})
	}
	calls.Wait()
}
