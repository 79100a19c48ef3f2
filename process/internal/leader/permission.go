package leader

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// NotPermittedError means that processes of a tree could not be signaled, since they have another
// user by now (kill(2), EPERM), and that therefore no process was signaled.
type NotPermittedError struct {
	PIDs []int // in ascending order
}

func (e *NotPermittedError) Error() string {
	return fmt.Sprintf("not permitted to signal the processes %d", e.PIDs)
}

// Unwrap makes errors.Is(err, fs.ErrPermission) work.
func (e *NotPermittedError) Unwrap() error { return syscall.EPERM }

// NotPermitted returns a *NotPermittedError for some processes, and nil for none.
func NotPermitted(pids []int) error {
	if len(pids) == 0 {
		return nil
	}
	slices.Sort(pids)
	return &NotPermittedError{slices.Compact(pids)}
}

// Denied reports whether this process may not signal another one.
func Denied(pid int) bool { return unix.Kill(pid, 0) == unix.EPERM }
