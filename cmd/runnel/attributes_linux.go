package main

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
)

// ownNice returns the nice value of this process. The system call returns 20 minus it
// (getpriority(2)).
func ownNice() int64 {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return int64(20 - n)
}

// ownSoftLimits returns the soft limits of this process except RLIMIT_RTTIME, which containment
// "marker" uses.
func ownSoftLimits() *rpc.SoftLimits {
	s := &rpc.SoftLimits{OpenFiles: openFilesAtStart()}
	for resource, to := range map[int]*rpc.SoftLimit{
		unix.RLIMIT_AS:         &s.AddressSpaceBytes,
		unix.RLIMIT_CORE:       &s.CoreBytes,
		unix.RLIMIT_CPU:        &s.CPUSeconds,
		unix.RLIMIT_DATA:       &s.DataBytes,
		unix.RLIMIT_FSIZE:      &s.FileBytes,
		unix.RLIMIT_MEMLOCK:    &s.LockedBytes,
		unix.RLIMIT_MSGQUEUE:   &s.MessageQueueBytes,
		unix.RLIMIT_NICE:       &s.NiceCeiling,
		unix.RLIMIT_SIGPENDING: &s.PendingSignals,
		unix.RLIMIT_RTPRIO:     &s.RealtimePriority,
		unix.RLIMIT_RSS:        &s.ResidentBytes,
		unix.RLIMIT_STACK:      &s.StackBytes,
		unix.RLIMIT_NPROC:      &s.UserProcesses,
	} {
		var own unix.Rlimit
		if unix.Getrlimit(resource, &own) == nil {
			*to = softLimit(own.Cur)
		}
	}
	return s
}
