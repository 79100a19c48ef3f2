//go:build linux

package proctable

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestAncestryOf checks a chain of shells, its bound, and processes that do not exist.
func TestAncestryOf(t *testing.T) {
	for _, depth := range []int{1, 5, maxAncestors + 1} {
		const script = `[ $1 = 1 ] && { echo $$; read x; exit; }; "$0" -c "$2" "$0" $(($1-1)) "$2"; :`
		cmd := exec.Command("/bin/sh", "-c", script, "/bin/sh", strconv.Itoa(depth), script)
		stdin, err1 := cmd.StdinPipe()
		stdout, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		a, err := AncestryOf(pid)
		switch {
		case depth > maxAncestors:
			if err != errTooManyAncestors {
				t.Errorf("depth %d: %v", depth, err)
			}
		case err != nil || len(a.Chain) != depth || !a.OfThis || a.Child() != cmd.Process.Pid || a.Process().PID != pid:
			t.Errorf("depth %d: %+v, %v", depth, a, err)
		}
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		if _, err := AncestryOf(pid); err != syscall.ESRCH {
			t.Errorf("a process that has ended: %v", err)
		}
	}
	if a, err := AncestryOf(os.Getppid()); err != nil || a.OfThis || a.Child() != 0 {
		t.Errorf("the parent of this process: %+v, %v", a, err)
	}
}
