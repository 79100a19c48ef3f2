package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// setCloseOnExec sets the close-on-exec flag of all inherited descriptors except stdin, stdout and
// stderr, so that commands do not inherit what the server's parent has left open.
func setCloseOnExec() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }
