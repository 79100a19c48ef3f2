package process

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// SettableAttributes are the names of the attributes that can be set.
var SettableAttributes = []string{UmaskAttribute, NiceAttribute, SoftAttribute}

// numberOf maps each Resource to its number. RLIMIT_RTTIME is missing, since it carries the mark.
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

// differ reports whether an attribute is to be changed.
func (a *Attributes) differ() bool {
	return a.Umask != nil || a.Nice != nil || len(a.Soft) > 0 || a.NoNewPrivileges
}

// changed returns the attributes that differ from those that a command inherits, so that a command
// without any needs no start gate.
func (a Attributes) changed(l Limits) (c Attributes) {
	if a.Umask != nil {
		if own, err := procfs.OwnUmask(); err != nil || *a.Umask != own {
			c.Umask = a.Umask
		}
	}
	if a.Nice != nil {
		if own, err := spawn.OwnNice(); err != nil || *a.Nice != own {
			c.Nice = a.Nice
		}
	}
	if a.NoNewPrivileges {
		own, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		c.NoNewPrivileges = err != nil || own == 0
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

// MinNice returns the lowest nice value that this process may give to a command (setpriority(2)).
// It determines the value once.
func MinNice() int { return spawn.MinNice() }
