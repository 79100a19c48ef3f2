//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// roleFlag is the first argument of a child that runs a part of a measurement. Its name and its
// arguments follow.
const roleFlag = "-role"

// roles are what a child of this program can be.
var roles = map[string]func(args []string) error{
	"limit":  limitRole,
	"disk":   diskRole,
	"client": clientRole,
	"crowd":  crowdRole,
}

// runRole runs the role that the arguments name, and exits. It returns if they name none.
func runRole() {
	if len(os.Args) < 3 || os.Args[1] != roleFlag {
		return
	}
	role := roles[os.Args[2]]
	if role == nil {
		fmt.Fprintf(os.Stderr, "runnel-bench: no role %q\n", os.Args[2])
		os.Exit(2)
	}
	if err := role(os.Args[3:]); err != nil {
		fmt.Fprintf(os.Stderr, "runnel-bench: %s: %v\n", os.Args[2], err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a child of this program in a role. It ends when its connection or its stdin is closed.
type child struct {
	cmd *exec.Cmd
}

// role returns a command that runs this program in a role, in the environment of all children.
func (b *bench) role(name string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{roleFlag, name}, args...)...)
	cmd.Env, cmd.Stderr = b.environ(), os.Stderr
	return &child{cmd: cmd}, nil
}

// wait waits for a child that is about to exit, and kills it if it does not.
func (c *child) wait() error {
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	err := c.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%v: %w", c.cmd.Args[1:], err)
	}
	return err
}
