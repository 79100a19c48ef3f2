package process

import (
	"fmt"
	"math"
	"syscall"
)

// Attributes are the inherited attributes in which a command is to differ from this process. They are set before its first
// instruction. The zero value changes nothing.
type Attributes struct {
	Umask *int // the permission bits that new files do not get, 0 to 0777
	Nice  *int // the nice value, -20 to 19; see MinNice
	Soft  SoftLimits
}

// The names of attributes.
const (
	UmaskAttribute = "umask"
	NiceAttribute  = "nice"
	SoftAttribute  = "soft_limits"
)

// SoftLimits are soft limits of setrlimit(2), by name of the resource; Unlimited is none. A value above the hard limit
// that a command has counts as that hard limit, also where it is one of Spec.Limits.
type SoftLimits map[Resource]uint64

// Resource names a resource of setrlimit(2). Those that are Limits too have the same name.
type Resource string

// The resources.
const (
	AddressSpaceBytes Resource = "address_space_bytes"
	CoreBytes         Resource = "core_bytes"
	DataBytes         Resource = "data_bytes"
	LockedBytes       Resource = "locked_bytes"
	MessageQueueBytes Resource = "message_queue_bytes"
	NiceCeiling       Resource = "nice_ceiling"
	PendingSignals    Resource = "pending_signals"
	RealtimePriority  Resource = "realtime_priority"
	ResidentBytes     Resource = "resident_bytes"
	StackBytes        Resource = "stack_bytes"
	UserProcesses     Resource = "user_processes"

	SoftCPUSeconds Resource = Resource(CPUSeconds)
	SoftOpenFiles  Resource = Resource(OpenFiles)
	SoftFileBytes  Resource = Resource(FileBytes)
)

// Unlimited means no soft limit (RLIM_INFINITY).
const Unlimited uint64 = math.MaxUint64

// AttributeError says that a command can't be given an attribute, and why: EACCES or EPERM for a nice value that this
// process may not set, ENOTSUP where the system has no way to set it in time.
type AttributeError struct {
	Attribute string
	Errno     syscall.Errno
}

func (e *AttributeError) Error() string { return fmt.Sprintf("%s: %v", e.Attribute, e.Errno) }

// Unwrap is the errno.
func (e *AttributeError) Unwrap() error { return e.Errno }

// differ says whether any attribute is to be changed.
func (a *Attributes) differ() bool { return a.Umask != nil || a.Nice != nil || len(a.Soft) > 0 }
