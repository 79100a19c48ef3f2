package rpc

import (
	"errors"
	"strconv"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// Limits are limits of what a session may use. One that cannot be enforced is -32602
// `not_enforceable`.
type Limits struct {
	// The CPU time of each process in seconds, rounded up to whole seconds, at least 1. A process
	// that exceeds it gets SIGXCPU, and SIGKILL a second later.
	CPUSeconds *float64 `json:"cpu_seconds,omitempty" min:"0"`
	// The memory of the whole tree in bytes. If it is exceeded, the kernel kills a process of the
	// tree.
	MemoryBytes *int64 `json:"memory_bytes,omitempty" min:"1"`
	// The number of processes of the whole tree, each thread counting as one. If it is reached,
	// fork fails.
	Processes *int64 `json:"processes,omitempty" min:"1" max:"4194304"`
	// The number of open files of each process.
	OpenFiles *int64 `json:"open_files,omitempty" min:"1"`
	// The size of the largest file that a process may write, in bytes. A process that exceeds it
	// gets SIGXFSZ.
	FileBytes *int64 `json:"file_bytes,omitempty" min:"0"`
}

// HeldLimit is a limit of a session.
type HeldLimit struct {
	// The name of the limit.
	Limit string `json:"limit" enum:"cpu_seconds,memory_bytes,processes,open_files,file_bytes"`
	// The value of the limit.
	Value int64 `json:"value"`
	// What enforces it: a controller of the session's own cgroup, a cgroup v1 controller, or
	// setrlimit(2).
	By string `json:"by" enum:"cgroup,cgroup_v1,rlimit"`
}

// SoftLimits are soft limits of setrlimit(2). A process may raise them again up to its hard limits.
// Null is no limit. If one is above the command's hard limit, that hard limit is used.
type SoftLimits struct {
	// RLIMIT_AS: virtual memory.
	AddressSpaceBytes SoftLimit `json:"address_space_bytes,omitzero"`
	// RLIMIT_CORE: the size of a core dump.
	CoreBytes SoftLimit `json:"core_bytes,omitzero"`
	// RLIMIT_CPU: CPU time in seconds. SIGXCPU is sent if it is exceeded.
	CPUSeconds SoftLimit `json:"cpu_seconds,omitzero"`
	// RLIMIT_DATA: private writable memory.
	DataBytes SoftLimit `json:"data_bytes,omitzero"`
	// RLIMIT_FSIZE: the largest file that may be written. SIGXFSZ is sent if it is exceeded.
	FileBytes SoftLimit `json:"file_bytes,omitzero"`
	// RLIMIT_MEMLOCK: memory locked into RAM.
	LockedBytes SoftLimit `json:"locked_bytes,omitzero"`
	// RLIMIT_MSGQUEUE: POSIX message queues of the user.
	MessageQueueBytes SoftLimit `json:"message_queue_bytes,omitzero"`
	// RLIMIT_NICE: 20 minus the lowest nice value that may be set without privilege.
	NiceCeiling SoftLimit `json:"nice_ceiling,omitzero"`
	// RLIMIT_NOFILE: open files.
	OpenFiles SoftLimit `json:"open_files,omitzero"`
	// RLIMIT_SIGPENDING: queued signals of the user.
	PendingSignals SoftLimit `json:"pending_signals,omitzero"`
	// RLIMIT_RTPRIO: the highest real-time priority that may be set without privilege.
	RealtimePriority SoftLimit `json:"realtime_priority,omitzero"`
	// RLIMIT_RSS. It has no effect on Linux.
	ResidentBytes SoftLimit `json:"resident_bytes,omitzero"`
	// RLIMIT_STACK: the stack of the main thread.
	StackBytes SoftLimit `json:"stack_bytes,omitzero"`
	// RLIMIT_NPROC: processes and threads of the user.
	UserProcesses SoftLimit `json:"user_processes,omitzero"`
}

// SoftLimit is a soft limit in JSON: a whole number from 0 up, or null for no limit
// (RLIM_INFINITY). To leave out the zero SoftLimit in JSON, tag the field omitzero.
type SoftLimit struct {
	Set   bool // the field is present, possibly null
	None  bool // the field is null
	Value int64
}

// UnmarshalJSON accepts a whole number or null.
func (l *SoftLimit) UnmarshalJSON(b []byte) error {
	switch wire.KindOf(b) {
	case wire.Null:
		*l = SoftLimit{Set: true, None: true}
		return nil
	case wire.Number:
	default:
		return errors.New("must be a whole number or null")
	}
	var n int64
	if err := wire.Decode(b, &n); err != nil {
		return err
	}
	if n < 0 {
		return errors.New("must be at least 0")
	}
	*l = SoftLimit{Set: true, Value: n}
	return nil
}

// MarshalJSON writes the number, or null for no limit. It fails if the number is negative.
func (l SoftLimit) MarshalJSON() ([]byte, error) {
	switch {
	case l.None:
		return []byte("null"), nil
	case l.Value < 0:
		return nil, errors.New("a soft limit must not be negative")
	}
	return strconv.AppendInt(nil, l.Value, 10), nil
}
