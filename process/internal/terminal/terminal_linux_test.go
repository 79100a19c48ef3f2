package terminal

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openPath(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func TestOpenIn(t *testing.T) {
	p, err := OpenIn(openPath(t, "/dev/ptmx"), 24, 65535)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	check(t, p)
	if p, err = OpenIn(openPath(t, os.DevNull), 1, 1); err == nil || p != (Pair{-1, -1, -1}) {
		t.Errorf("%+v, %v of /dev/null", p, err)
	}
}

// TestOpenInOutlivesMount checks that a terminal of another instance of devpts is not one of the
// machine's, and works when the instance is not mounted any more.
func TestOpenInOutlivesMount(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("devpts", dir, "devpts", 0, "newinstance,ptmxmode=0666,mode=620"); err != nil {
		t.Skip("SKIPPED: devpts cannot be mounted: ", err)
	}
	ptmx := openPath(t, dir+"/ptmx")
	p, err := OpenIn(ptmx, 24, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(p.Slave)); name != dir+"/0" || err != nil {
		t.Errorf("the slave is %q, %v", name, err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(p.Slave, []byte("hello\n")); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 16)
	if n, err := unix.Read(p.Read, buf); strings.TrimSpace(string(buf[:max(n, 0)])) != "hello" || err != nil {
		t.Errorf("%q, %v", buf[:max(n, 0)], err)
	}
	_ = unix.Close(p.Slave)
	p.Slave = -1
	if _, err := unix.Read(p.Read, buf); err != unix.EIO {
		t.Errorf("%v after the slave was closed, want EIO", err)
	}
}
