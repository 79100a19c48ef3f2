package main

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
)

// ownNice returns the nice value of this process.
func ownNice() int64 {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return int64(n)
}

// ownSoftLimits returns nil: the limits of macOS do not apply to a server on Linux.
func ownSoftLimits() *rpc.SoftLimits { return nil }
