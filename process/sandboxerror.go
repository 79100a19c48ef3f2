package process

import (
	"fmt"
	"syscall"
)

// SandboxError means that the sandbox of a command could not be made, for a reason that is not in the
// command or in its sandbox.
type SandboxError struct {
	// Step is what failed, in words for clients: it names no path of the server.
	Step string
	// Errno is 0 if no system call has failed, and ETIMEDOUT if it took too long.
	Errno syscall.Errno
	// Why, if not nil, says more to the operator. It may name paths of the server.
	Why error
}

func (e *SandboxError) Error() string {
	switch {
	case e.Why != nil:
		return e.Why.Error()
	case e.Errno == 0:
		return "sandbox: " + e.Step
	}
	return fmt.Sprintf("sandbox: %s: %v", e.Step, e.Errno)
}

// Unwrap returns Why, or Errno.
func (e *SandboxError) Unwrap() error {
	switch {
	case e.Why != nil:
		return e.Why
	case e.Errno == 0:
		return nil
	}
	return e.Errno
}
