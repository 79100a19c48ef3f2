//go:build linux

package execfile

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestLookup(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/directory", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/program", "", 0o755)
	write(t, dir+"/plain", "", 0o644)
	for _, test := range []struct {
		p    Program
		want string
		err  error
	}{
		{Program{Name: "program", Path: "/none:" + dir}, dir + "/program", nil},
		{Program{Name: "program", Path: "/none::/bin", Dir: dir}, "./program", nil},
		{Program{Name: "program", Path: "."}, "", syscall.ENOENT},
		{Program{Name: "plain", Path: dir + ":/none"}, "", syscall.EACCES},
		{Program{Name: "directory", Path: dir}, "", syscall.EACCES},
		{Program{Name: "./none", Path: dir}, "./none", nil},
		{Program{Name: "", Path: dir}, "", syscall.ENOENT},
	} {
		if got, err := test.p.lookup(); got != test.want || err != test.err {
			t.Errorf("lookup of %+v = %q, %v, want %q, %v", test.p, got, err, test.want, test.err)
		}
	}
	if got := PathOf([]string{"XPATH=/x", "PATH=/a", "PATH=/b"}); got != "/a" {
		t.Errorf("PathOf = %q, want the first one", got)
	}
	if got := PathOf(nil); got != defaultPath {
		t.Errorf("PathOf of an empty environment = %q", got)
	}
}

func TestScriptInterpreter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script")
	long := strings.Repeat("x", 2*maxScriptLine)
	for text, want := range map[string]string{
		"#!/bin/sh\nexit": "/bin/sh", "#! \t/bin/sh -e\n": "/bin/sh", "#!/bin/sh": "/bin/sh", "#!": "", "#!\n/bin/sh": "",
		"/bin/sh": "", "": "", "#!/" + long: ("/" + long)[:maxScriptLine-2], "\x7fELF": "",
	} {
		write(t, file, text, 0o755)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := interpreterOf(int(f.Fd())); got != want {
			t.Errorf("interpreter of %q = %q, want %q", text, got, want)
		}
		_ = f.Close()
	}
}

// TestELFInterpreter compares the interpreter of /bin/sh with a file that exists, and checks that
// damaged files are accepted.
func TestELFInterpreter(t *testing.T) {
	text, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "program")
	interpreter := func(text []byte) string {
		write(t, file, string(text), 0o755)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return interpreterOf(int(f.Fd()))
	}
	found := interpreter(text)
	if info, err := os.Stat(found); err != nil || !info.Mode().IsRegular() {
		t.Skipf("NOT TESTED: /bin/sh has no interpreter (%q)", found)
	}
	for n := 0; n < 64; n++ { // a damaged header
		damaged := append([]byte(nil), text...)
		damaged[n] ^= 0xff
		_ = interpreter(damaged)
	}
	if got := interpreter(text[:100]); got != "" {
		t.Errorf("interpreter of a truncated file = %q", got)
	}
}

// pin pins a program and reports whether the exec may block.
func pin(t *testing.T, c *Cache, p *Program) (f Pinned, opened []string) {
	t.Helper()
	f, err := c.Pin(context.Background(), p, func(path string) { opened = append(opened, path) })
	if err != nil {
		t.Fatal(err)
	}
	return f, opened
}

func TestCache(t *testing.T) { synctest.Test(t, testCache) }

func testCache(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/program"
	write(t, path, "#!/bin/sh\n", 0o755)
	c := &Cache{}
	p := &Program{Name: "./program", Dir: dir}
	if _, ok := c.PinCached(p); ok {
		t.Error("PinCached has a file that was never executed")
	}
	f, opened := pin(t, c, p)
	if f.MayBlock || f.Path != "./program" || len(opened) < 3 || opened[0] != dir || opened[1] != "./program" || opened[2] != "/bin/sh" {
		t.Errorf("pinned %+v, opened %q", f, opened)
	}
	n := c.Len()
	if n < 2 {
		t.Errorf("%d files in the cache", n)
	}
	again, ok := c.PinCached(p)
	if !ok || again.Path != "./program" {
		t.Errorf("PinCached = %+v, %v", again, ok)
	}
	again.Close()
	write(t, path, "#!/bin/sh\n\n", 0o755)
	if _, ok := c.PinCached(p); ok {
		t.Error("PinCached has a file that was changed")
	}
	time.AfterFunc(2*maxIdle, f.Close)
	time.Sleep(2*maxIdle - time.Millisecond)
	if c.Len() == 0 {
		t.Error("the file that is used is not in the cache")
	}
	for end := time.Now().Add(20 * time.Second); c.Len() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files stay in the cache", c.Len())
		}
	}
}

// TestPinnedFileOutlivesCache checks that the close of the cache does not close a file that is
// pinned.
func TestPinnedFileOutlivesCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write(t, path, "", 0o755)
	c := &Cache{}
	f, _ := pin(t, c, &Program{Name: path})
	c.Close()
	c.Close() // again
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != unix.EAGAIN {
		t.Errorf("a lease on a pinned file: %v, want EAGAIN", err)
	}
	f.Close()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Errorf("a lease on a released file: %v", err)
	}
}

// TestPinWaitsForLease checks that a lease delays Pin, and that the end of the context ends the
// wait.
func TestPinWaitsForLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write(t, path, "", 0o755)
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var c *Cache
	p := &Program{Name: path}
	if f, err := c.Pin(ctx, p, func(string) {}); err != unix.EWOULDBLOCK {
		t.Errorf("Pin of a leased file = %+v, %v", f, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = unix.Close(fd) })
	f, _ := pin(t, c, p)
	f.Close()
}
