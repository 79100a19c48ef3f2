package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepInherited keeps descriptors that this process was started with, beside the three of every program, from the
// commands that it starts: who started a server and left one open did not mean it for them.
func keepInherited() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }
