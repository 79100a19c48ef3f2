package process

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// Settable are the names of the attributes that a command can be given here.
var Settable = []string{UmaskAttribute, NiceAttribute, SoftAttribute}

// numberOf is the number of each resource. RLIMIT_RTTIME has no name: it carries the mark.
var numberOf = map[Resource]int{
	AddressSpaceBytes: unix.RLIMIT_AS,
	CoreBytes:         unix.RLIMIT_CORE,
	SoftCPUSeconds:    unix.RLIMIT_CPU,
	DataBytes:         unix.RLIMIT_DATA,
	SoftFileBytes:     unix.RLIMIT_FSIZE,
	LockedBytes:       unix.RLIMIT_MEMLOCK,
	MessageQueueBytes: unix.RLIMIT_MSGQUEUE,
	NiceCeiling:       unix.RLIMIT_NICE,
	SoftOpenFiles:     unix.RLIMIT_NOFILE,
	PendingSignals:    unix.RLIMIT_SIGPENDING,
	RealtimePriority:  unix.RLIMIT_RTPRIO,
	ResidentBytes:     unix.RLIMIT_RSS,
	StackBytes:        unix.RLIMIT_STACK,
	UserProcesses:     unix.RLIMIT_NPROC,
}

// changed is what of a differs from what a command has anyway, so that one that asks for nothing else needs no gate.
func (a Attributes) changed(l Limits) (c Attributes) {
	if own, err := procfs.OwnUmask(); a.Umask != nil && (err != nil || *a.Umask != own) {
		c.Umask = a.Umask
	}
	if own, err := spawn.OwnNice(); a.Nice != nil && (err != nil || *a.Nice != own) {
		c.Nice = a.Nice
	}
	for name, value := range a.Soft {
		if _, bounded := l[Limit(name)]; !bounded && spawn.Inherits(numberOf[name], value) {
			continue
		}
		if c.Soft == nil {
			c.Soft = make(SoftLimits)
		}
		c.Soft[name] = value
	}
	return c
}

// MinNice returns the lowest nice value that this process may give to a command (setpriority(2)). It determines the value
// once.
func MinNice() int { return spawn.MinNice() }
