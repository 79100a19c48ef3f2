//go:build linux

package escape

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process"
)

// The modes of this program, by its first argument. Without one it runs the tests.
const (
	attemptMode = "escape-attempt" // makes the attempt that the second argument names
	confineMode = "escape-confine" // restricts itself, and executes the other arguments
	writeMode   = "escape-write"   // writes to the file that the second argument names
)

func init() { runtime.LockOSThread() } // attempts change the attributes of their thread

// base is a directory that every user may enter, and program a copy of this program in it.
var base, program string

// serverDir is a directory of the server, which is hidden from all sandboxes. Everything in it would
// be readable for the users of the commands.
func serverDir() string { return filepath.Join(base, "server") }

func TestMain(m *testing.M) {
	process.Step()
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case attemptMode:
			runAttempt(os.Args[2])
		case confineMode:
			confine(os.Args[2:])
		case writeMode:
			exitWith(write(os.Args[2]))
		}
	}
	runtime.UnlockOSThread()
	_ = flag.Set("test.parallel", "8") // attempts mostly wait for their processes
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if base, err = os.MkdirTemp("", "escape"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(base)
	if err := os.Chmod(base, 0o755); err != nil {
		return 0, err
	}
	program = filepath.Join(base, "bin", "escape.test")
	if err := copySelf(program, 0o755); err != nil {
		return 0, err
	}
	if err := os.Mkdir(serverDir(), 0o755); err != nil {
		return 0, err
	}
	return m.Run(), closeHosts()
}

// copySelf copies this program. A process that is forked meanwhile would have the file open for
// writing, so that it could not be executed.
func copySelf(path string, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	if _, err = io.Copy(to, from); err == nil {
		err = to.Chmod(mode)
	}
	if closing := to.Close(); err == nil {
		err = closing
	}
	return err
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
