package process

import (
	"fmt"
	"math"
	"syscall"
)

// Attributes are inherited attributes of a command that are to differ from those of this process.
// They are set before its first instruction. The zero value changes nothing.
type Attributes struct {
	Umask *int // umask(2), 0 to 0777
	Nice  *int // the nice value, -20 to 19; see MinNice
	Soft  SoftLimits
	// NoNewPrivileges makes programs grant no privileges that the tree does not have: set-user-ID
	// programs and file capabilities have no effect (PR_SET_NO_NEW_PRIVS).
	NoNewPrivileges bool
}

// The names of attributes.
const (
	UmaskAttribute = "umask"
	NiceAttribute  = "nice"
	SoftAttribute  = "soft_limits"

	NoNewPrivilegesAttribute = "no_new_privs"
)

// SoftLimits are soft limits of setrlimit(2), by resource; Unlimited is no limit. A value above the
// hard limit of the command, which may be one of Spec.Limits, counts as the hard limit.
type SoftLimits map[Resource]uint64

// Resource is the name of a resource of setrlimit(2). A resource that is also a Limit has the same
// name.
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

// AttributeError means that an attribute of a command cannot be set. Errno is EACCES or EPERM for a
// nice value that this process may not set, and ENOTSUP if the system cannot set the attribute
// before the first instruction.
type AttributeError struct {
	Attribute string
	Errno     syscall.Errno
}

func (e *AttributeError) Error() string { return fmt.Sprintf("%s: %v", e.Attribute, e.Errno) }

// Unwrap returns Errno.
func (e *AttributeError) Unwrap() error { return e.Errno }
