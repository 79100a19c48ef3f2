package process

import (
	"fmt"
	"math"
	"syscall"
)

// Limit is the name of a resource of a tree that can be limited.
type Limit string

// The limits. MemoryBytes and Processes apply to the whole tree, the others to each process of it.
const (
	CPUSeconds  Limit = "cpu_seconds"  // seconds of processor time: SIGXCPU, and SIGKILL a second later
	MemoryBytes Limit = "memory_bytes" // if the kernel cannot reclaim memory, it kills a process of the tree
	Processes   Limit = "processes"    // with threads: fork(2) fails with EAGAIN
	OpenFiles   Limit = "open_files"   // descriptors: open(2) fails with EMFILE
	FileBytes   Limit = "file_bytes"   // size of a file that is written: SIGXFSZ, or EFBIG
)

// AllLimits is the list of all limits.
var AllLimits = []Limit{CPUSeconds, MemoryBytes, Processes, OpenFiles, FileBytes}

// Limits are values of limits. A limit that is missing is not set.
type Limits map[Limit]int64

// Mechanism is what enforces a limit.
type Mechanism string

// The mechanisms.
const (
	ByCgroup   Mechanism = "cgroup"    // a controller of the cgroup of the tree, version 2
	ByCgroupV1 Mechanism = "cgroup_v1" // a controller of a cgroup of version 1, to which the leader is added at the start gate
	ByRlimit   Mechanism = "rlimit"    // setrlimit(2) for the leader at the start gate, inherited by all descendants
)

// EnforcedLimit is a limit of a tree and its mechanism.
type EnforcedLimit struct {
	Limit Limit
	Value int64
	By    Mechanism
}

// LimitError means that a limit cannot be set. Most is the largest possible value, or -1 if no
// mechanism of this machine enforces the limit.
type LimitError struct {
	Limit Limit
	Most  int64
}

func (e *LimitError) Error() string {
	if e.Most < 0 {
		return fmt.Sprintf("%s cannot be enforced on this machine", e.Limit)
	}
	return fmt.Sprintf("%s is at most %d on this machine", e.Limit, e.Most)
}

// Enforce returns the mechanism for each of the limits. The error is a *LimitError.
func (h *Host) Enforce(l Limits) ([]EnforcedLimit, error) { return h.orPlain().preparer.enforce(l) }

// enforcedBy returns the limits with their mechanisms. mechanism returns "" for a limit that cannot
// be enforced. The error is a *LimitError.
func (l Limits) enforcedBy(mechanism func(Limit) Mechanism) ([]EnforcedLimit, error) {
	var all []EnforcedLimit
	for _, name := range AllLimits {
		value, ok := l[name]
		if !ok {
			continue
		}
		by := mechanism(name)
		if by == "" {
			return nil, &LimitError{name, -1}
		}
		if most := mostOf(name); value > most {
			return nil, &LimitError{name, most}
		}
		all = append(all, EnforcedLimit{name, value, by})
	}
	return all, nil
}

// resourceOf maps the limits of each process to resources of setrlimit(2).
var resourceOf = map[Limit]int{
	CPUSeconds: syscall.RLIMIT_CPU,
	OpenFiles:  syscall.RLIMIT_NOFILE,
	FileBytes:  syscall.RLIMIT_FSIZE,
}

// maxProcesses is the largest value of the pids controller, PID_MAX_LIMIT.
const maxProcesses = 1 << 22

// mostOf returns the largest possible value of a limit. For a limit of each process it is the hard
// limit of the server.
func mostOf(name Limit) int64 {
	var limit syscall.Rlimit
	resource, ofProcess := resourceOf[name]
	switch {
	case name == Processes:
		return maxProcesses
	case !ofProcess:
		return math.MaxInt64
	}
	if syscall.Getrlimit(resource, &limit) != nil || limit.Max > math.MaxInt64-1 {
		return math.MaxInt64 - 1
	}
	return int64(limit.Max)
}
