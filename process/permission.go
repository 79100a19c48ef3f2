package process

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// NotPermittedError says that processes of a tree could not be signalled, because they run as another user by now
// (kill(2), EPERM), and that therefore nothing was done.
type NotPermittedError struct {
	PIDs []int // in ascending order
}

func (e *NotPermittedError) Error() string {
	return fmt.Sprintf("not permitted to signal the processes %d", e.PIDs)
}

// Unwrap makes errors.Is(err, fs.ErrPermission) work.
func (e *NotPermittedError) Unwrap() error { return syscall.EPERM }

// denied says that this process may not signal another one.
func denied(pid int) bool { return unix.Kill(pid, 0) == unix.EPERM }

// notPermitted is the error for processes that could not be signalled, nil for none.
func notPermitted(pids []int) error {
	if len(pids) == 0 {
		return nil
	}
	slices.Sort(pids)
	return &NotPermittedError{slices.Compact(pids)}
}
