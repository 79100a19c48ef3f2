package runas

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// capabilities are the three sets of a thread (capabilities(7)), each in two words.
type capabilities [2]unix.CapUserData

func ownCapabilities() (c capabilities, err error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&head, &c[0])
	return c, os.NewSyscallError("capget", err)
}

// set sets the capabilities of the calling thread.
func (c capabilities) set() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return os.NewSyscallError("capset", unix.Capset(&head, &c[0]))
}

func (c *capabilities) effective(capability int) bool {
	return c[capability/32].Effective>>(capability%32)&1 != 0
}

// HasCapability reports whether the calling thread has a capability (capabilities(7)) in effect.
func HasCapability(capability int) bool {
	c, err := ownCapabilities()
	return err == nil && c.effective(capability)
}

// needed are the capabilities to run commands as other users: to set the ids, and to signal the
// processes, without which their tree could not be ended.
var needed = []int{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL}

// Permitted reports whether this process may run a command as u. It may if it has the needed
// capabilities, or if u is what it is itself, which changes is false for.
func (u *User) Permitted() (changes, permitted bool) {
	if !slices.ContainsFunc(needed, func(capability int) bool { return !HasCapability(capability) }) {
		return true, true
	}
	own, err := os.Getgroups()
	same := err == nil && int(u.UID) == os.Getuid() && int(u.UID) == os.Geteuid() &&
		int(u.GID) == os.Getgid() && int(u.GID) == os.Getegid() && len(own) == len(u.Groups)
	for _, g := range own {
		same = same && slices.Contains(u.Groups, uint32(g))
	}
	return false, same
}
