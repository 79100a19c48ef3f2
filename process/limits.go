package process

import (
	"fmt"
	"math"
	"syscall"
	"time"
)

// Limit names what of a tree can be bounded.
type Limit string

// The limits. Memory and processes are those of the whole tree, the others those of each process of it.
const (
	CPUSeconds  Limit = "cpu_seconds"  // whole seconds of processor time: SIGXCPU, and SIGKILL a second later
	MemoryBytes Limit = "memory_bytes" // the kernel kills a process of the tree when it can't reclaim any (OOM)
	Processes   Limit = "processes"    // with each thread counting as one: fork fails with EAGAIN
	OpenFiles   Limit = "open_files"   // descriptors: open fails with EMFILE
	FileBytes   Limit = "file_bytes"   // the largest file that may be written: SIGXFSZ, or EFBIG
)

// AllLimits lists them.
var AllLimits = []Limit{CPUSeconds, MemoryBytes, Processes, OpenFiles, FileBytes}

// Limits are values of some limits. One that is not there is none.
type Limits map[Limit]int64

// Mechanism is what enforces a limit.
type Mechanism string

// The mechanisms.
const (
	ByCgroup   Mechanism = "cgroup"    // a controller of version 2 on the tree's own control group
	ByCgroupV1 Mechanism = "cgroup_v1" // a controller of version 1, whose group the leader joins before its first instruction
	ByRlimit   Mechanism = "rlimit"    // setrlimit(2) of the leader before its first instruction, inherited by all others
)

// Held is a limit that holds a tree.
type Held struct {
	Limit Limit
	Value int64
	By    Mechanism
}

// LimitError says that a limit can't be had. Most is the largest value that can, or -1 where nothing here enforces the
// limit at all.
type LimitError struct {
	Limit Limit
	Most  int64
}

func (e *LimitError) Error() string {
	if e.Most < 0 {
		return fmt.Sprintf("nothing on this machine enforces %s", e.Limit)
	}
	return fmt.Sprintf("%s is at most %d on this machine", e.Limit, e.Most)
}

// Enforce says by what each of the limits would be held. The error is a *LimitError.
func (h *Host) Enforce(l Limits) ([]Held, error) {
	h = h.orPlain()
	var all []Held
	for _, name := range AllLimits {
		value, ok := l[name]
		if !ok {
			continue
		}
		by := h.enforces(name)
		if by == "" {
			return nil, &LimitError{name, -1}
		}
		if most := mostOf(name); value > most {
			return nil, &LimitError{name, most}
		}
		all = append(all, Held{name, value, by})
	}
	return all, nil
}

// resourceOf is the resource of setrlimit(2) for a limit of each process.
var resourceOf = map[Limit]int{
	CPUSeconds: syscall.RLIMIT_CPU,
	OpenFiles:  syscall.RLIMIT_NOFILE,
	FileBytes:  syscall.RLIMIT_FSIZE,
}

// maxProcesses is the most that a controller of processes takes, which is what the kernel can number (PID_MAX_LIMIT).
const maxProcesses = 1 << 22

// mostOf is the largest value of a limit: of one of each process the server's own hard limit, which a child can't be given
// more than.
func mostOf(name Limit) int64 {
	var limit syscall.Rlimit
	resource, ofEach := resourceOf[name]
	switch {
	case name == Processes:
		return maxProcesses
	case !ofEach:
		return math.MaxInt64
	}
	if syscall.Getrlimit(resource, &limit) != nil || limit.Max > math.MaxInt64-1 {
		return math.MaxInt64 - 1
	}
	return int64(limit.Max)
}

// cpuGrace is how much longer a process may go on that does not end at its SIGXCPU.
const cpuGrace = 1

// exceeded is which of the limits of each process the kernel ended the leader for: by its signal and, since anybody
// may send that, by the time that it had used.
func (l Limits) exceeded(e *Exit, ownTime time.Duration) Limit {
	seconds, timed := l[CPUSeconds]
	_, filed := l[FileBytes]
	switch {
	case timed && e.Signal == syscall.SIGXCPU && ownTime >= time.Duration(seconds)*time.Second:
		return CPUSeconds
	case timed && e.Signal == syscall.SIGKILL && ownTime >= time.Duration(seconds+cpuGrace)*time.Second:
		return CPUSeconds
	case filed && e.Signal == syscall.SIGXFSZ:
		return FileBytes
	}
	return ""
}
