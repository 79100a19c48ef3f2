package main

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
)

// ownNice is this process's nice value.
func ownNice() int64 {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return int64(n)
}

// ownSoftLimits are none: those of macOS mean little to a server, which is on Linux.
func ownSoftLimits() *rpc.SoftLimits { return nil }
