package process

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
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
	if own, err := ownNice(); a.Nice != nil && (err != nil || *a.Nice != own) {
		c.Nice = a.Nice
	}
	for name, value := range a.Soft {
		if _, bounded := l[Limit(name)]; !bounded && hasSoft(name, value) {
			continue
		}
		if c.Soft == nil {
			c.Soft = make(SoftLimits)
		}
		c.Soft[name] = value
	}
	return c
}

// ownNice is the nice value of this thread. The system call itself returns 20 minus it.
func ownNice() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, err
}

// MinNice is the lowest nice value that this process may give to a command (setpriority(2)). It is found out once.
var MinNice = sync.OnceValue(func() int {
	found := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread, whose nice value is changed, ends with this goroutine
		found <- minNice()
	}()
	return <-found
})

func minNice() int {
	own, err := ownNice()
	if err != nil {
		own = 0
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NICE, &limit) != nil {
		limit.Cur = 0
	}
	allowed := 20 - int(min(limit.Cur, 40))
	for _, try := range []int{-20, allowed} {
		if try < own && unix.Setpriority(unix.PRIO_PROCESS, 0, try) == nil {
			return try
		}
	}
	return own
}

// hasSoft says whether a command has a soft limit if nothing is done, as far as that is known.
func hasSoft(name Resource, value uint64) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(numberOf[name], &limit) != nil {
		return false
	}
	soft := limit.Cur
	if name == SoftOpenFiles {
		seen := bornWith.Load()
		if seen == nil || seen.own != limit {
			return false
		}
		soft = seen.files
	}
	return min(value, limit.Max) == soft
}

// bornWith is the soft limit of open files that the last child was seen to be born with, and this process' own limits then.
// The runtime raises this process' own to the hard limit and gives children the one that it found when it started,
// which it does not tell.
var bornWith atomic.Pointer[filesSeen]

type filesSeen struct {
	own   unix.Rlimit
	files uint64
}

// noteFiles sees what a child that stands in its trap was born with.
func (t *treeLimits) noteFiles(pid int) {
	if _, asked := t.attributes.Soft[SoftOpenFiles]; !asked {
		return
	}
	var own, child unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) == nil && unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &child) == nil {
		bornWith.Store(&filesSeen{own, child.Cur})
	}
}

// needStep says whether an attribute has to be set before the exec: the umask belongs to the process itself and nobody else
// can set it, and the exec places the stack by its limit.
func (a *Attributes) needStep() bool {
	_, stack := a.Soft[StackBytes]
	return a.Umask != nil || stack
}

// setSoft sets the soft limits of a process that waits at its gate. Its hard ones were set before.
func (t *treeLimits) setSoft(pid int) error {
	for name, value := range t.attributes.Soft {
		var limit unix.Rlimit
		if err := unix.Prlimit(pid, numberOf[name], nil, &limit); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
		most := limit.Max
		if bound, ok := t.limits[Limit(name)]; ok {
			most = min(most, uint64(bound)) // the hard limit of CPU time is above it
		}
		limit.Cur = min(value, most)
		if err := unix.Prlimit(pid, numberOf[name], &limit, nil); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
	}
	return nil
}

// setNice sets the nice value of a process that stands in its trap and has a single thread.
func (t *treeLimits) setNice(pid int) error {
	if t.attributes.Nice == nil {
		return nil
	}
	return niceError(unix.Setpriority(unix.PRIO_PROCESS, pid, *t.attributes.Nice))
}

func niceError(err error) error {
	if errno, ok := err.(syscall.Errno); ok && errno != 0 {
		return &AttributeError{NiceAttribute, errno}
	}
	return err
}
