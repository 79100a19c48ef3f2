package seccomp

import (
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/runas"
)

var nobody = &runas.User{UID: 65534, GID: 65534}

func needsFilter(t testing.TB) {
	t.Helper()
	if WhyNot() != "" {
		proctest.SkipUnlessRequired(t, "seccomp", "filters are not available")
	}
}

// filtered runs f on a thread of a user, or of this one if user is nil, with a filter, or without one
// if it is nil. The thread ends afterwards.
func filtered(t testing.TB, user *runas.User, filter []unix.SockFilter, f func()) {
	t.Helper()
	proctest.OnThread(func() {
		if user != nil {
			if errno := user.Become(); errno != 0 {
				t.Errorf("become user %d: %v", user.UID, errno)
				return
			}
		}
		errno := runas.NoNewPrivileges()
		if errno == 0 && filter != nil {
			errno = Install(filter)
		}
		if errno != 0 {
			t.Errorf("install: %v", errno)
			return
		}
		f()
	})
}

func eachUser(t *testing.T, f func(t *testing.T, user *runas.User)) {
	t.Run("self", func(t *testing.T) { f(t, nil) })
	if os.Geteuid() == 0 {
		t.Run("nobody", func(t *testing.T) { f(t, nobody) })
	}
}

// invalid are arguments with which every system call of the table that is refused fails.
const invalid = ^uintptr(0)

func callInvalid(c *call) unix.Errno {
	a, _ := archOf(runtime.GOARCH)
	_, _, errno := unix.RawSyscall6(uintptr(a.number(c)), invalid, invalid, invalid, invalid, invalid, invalid)
	return errno
}

// TestRefusedCalls makes every system call that the filter refuses whatever its arguments are, with
// the filter and without.
func TestRefusedCalls(t *testing.T) {
	needsFilter(t)
	a, _ := archOf(runtime.GOARCH)
	var refused []*call
	for i := range calls {
		c := &calls[i]
		if slices.Contains([]decision{refuse, absent, memory, metadata, changedMode}, c.decision) && a.number(c) >= 0 {
			refused = append(refused, c)
		}
	}
	eachUser(t, func(t *testing.T, user *runas.User) {
		filtered(t, user, Filter(strictest), func() {
			for _, c := range refused {
				if got, want := callInvalid(c), expected(c, strictest); got != want {
					t.Errorf("%s with the filter: %v, want %v", c.name, got, want)
				}
			}
		})
	})
	if admin, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0); os.Geteuid() != 0 || err != nil || admin != 1 {
		return // the kernel, or a container, refuses the same calls with the same errors
	}
	filtered(t, nil, nil, func() {
		for _, c := range refused {
			if c.name == "vhangup" { // it has no arguments
				continue
			}
			if got, with := callInvalid(c), expected(c, strictest); got == with {
				t.Errorf("%s without the filter: %v, as with it", c.name, got)
			}
		}
	})
}
