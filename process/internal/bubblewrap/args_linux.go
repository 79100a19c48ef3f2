package bubblewrap

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// flags returns the namespaces that a sandbox has, as flags of setns(2).
func (c *Config) flags() int {
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if c.UserNS {
		flags |= unix.CLONE_NEWUSER
	}
	if c.Sandbox.Processes == sandbox.Own {
		flags |= unix.CLONE_NEWPID
	}
	if c.Sandbox.Network.Mode != sandbox.FullNetwork {
		flags |= unix.CLONE_NEWNET
	}
	return flags
}

// options returns the arguments of bwrap that are not mounts.
func (c *Config) options() []string {
	// As root bwrap would keep the capabilities.
	args := []string{"--cap-drop", "ALL", "--unshare-ipc", "--unshare-uts"}
	flags := c.flags()
	if flags&unix.CLONE_NEWUSER != 0 {
		args = append(args, "--unshare-user")
	}
	if flags&unix.CLONE_NEWPID != 0 {
		args = append(args, "--unshare-pid", "--as-pid-1") // the holder is the first process
	}
	if flags&unix.CLONE_NEWNET != 0 {
		args = append(args, "--unshare-net")
	}
	return args
}

// encode joins arguments for --args.
func encode(args []string) ([]byte, error) {
	for _, arg := range args {
		if strings.ContainsRune(arg, 0) {
			return nil, fmt.Errorf("%q contains NUL", arg)
		}
	}
	return []byte(strings.Join(args, "\x00") + "\x00"), nil
}
