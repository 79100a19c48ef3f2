//go:build linux

package server_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const leaseVariable = "RUNNEL_TEST_LEASE"

// init makes the test binary the holder of a lease if it is started as one.
func init() {
	path := os.Getenv(leaseVariable)
	if path == "" {
		return
	}
	signal.Ignore(syscall.SIGIO)                                // which asks for the lease back
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) // a writer would fail the exec with ETXTBSY
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK)
	}
	fmt.Println("lease", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// lease starts a process that takes a write lease on a file and does not release it when asked.
// An open of the file blocks until release is called.
func lease(t *testing.T, path string) (release func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), leaseVariable+"="+path)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release = func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(release)
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "lease <nil>\n" {
		t.Fatal(line)
	}
	return release
}

// script writes an executable file.
func script(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// copyOf copies a program.
func copyOf(t *testing.T, program, to string, mode os.FileMode) {
	t.Helper()
	text, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(to, text, mode)
	}
	if err == nil {
		err = os.Chmod(to, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// silentMount mounts a file system whose process does not answer until release is called; then
// every call fails.
func silentMount(t *testing.T) (dir string, release func()) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("SKIPPED, FUSE is unavailable: %v", err)
	}
	dir = t.TempDir()
	if err := unix.Mount("silent", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
		_ = unix.Close(fd)
		t.Skipf("SKIPPED, cannot mount a file system: %v", err)
	}
	closed := false
	release = func() {
		if !closed {
			closed = true
			_ = unix.Close(fd)
		}
	}
	t.Cleanup(func() {
		release()
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	})
	return dir, release
}
