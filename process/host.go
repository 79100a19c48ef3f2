package process

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/poller"
)

// Options configure a Host. The zero value selects the strongest available containment, and leaves
// processes behind after a crash.
type Options struct {
	// Containment is the one to use; "" is Auto.
	Containment Containment
	// StateDir is a directory in which the Host records what it may leave behind in a crash. The
	// next Open with the same directory ends that. It is made if it does not exist. "" records
	// nothing.
	StateDir string
	// OnlyParent is true if this process starts all its children by this Host. Then every other
	// child is an orphan of a tree and is reaped when it has exited, even if it has changed its
	// mark.
	OnlyParent bool
	// Keeper starts a second process that ends all trees if this process ends without closing its
	// Host, and removes what the Host has made. It requires Linux, and a program that calls Step.
	// Under Group it receives each group right after the start of the leader.
	Keeper bool
	// KeeperEnded, if not nil, is called with the reason when a keeper has ended or did not start,
	// before the next one is started. It is called from a goroutine of the Host, and not after
	// Close.
	KeeperEnded func(error)
	// ReserveProcesses is by how many processes and threads the limit of all commands is lower than
	// that of this process, if a controller of version 2 is delegated to it, or RLIMIT_NPROC
	// applies. They are needed to end the commands.
	ReserveProcesses int
	// OOMScoreAdj, 0 to 1000, is the oom_score_adj of commands, if it is higher than that of this
	// process (proc_pid_oom_score_adj(5)). Then the kernel kills them first if memory is exhausted.
	OOMScoreAdj int
	// Bubblewrap is the path of bwrap(1), with which sandboxes are made; "" looks for it in PATH.
	Bubblewrap string
	// HideFromSandboxes are files and directories that no sandboxed command can access, whatever its
	// sandbox says, besides StateDir. If such a file is replaced (rename(2)), a running command may
	// see the new one, so directories should be hidden.
	HideFromSandboxes []string
	// SandboxTmpBytes bounds each of the private /tmp, /var/tmp and /dev/shm of a sandboxed command,
	// which are in memory. 0 is half of the memory of the machine (tmpfs(5)).
	SandboxTmpBytes int64
	// ReadOnlyInSandboxes are files that no command in a sandbox with namespaces can change, whatever
	// its sandbox says, as the program of the server and bwrap. With Landlock alone those below a
	// writable directory can be changed.
	ReadOnlyInSandboxes []string
	// SandboxRuleUnused, if not nil, is called for each rule of a profile that a start could not use. It
	// may be called from any goroutine, and must not block.
	SandboxRuleUnused func(UnusedRule)
}

// Host starts trees on this machine and contains them. Its methods may be called from any
// goroutine. A nil Host contains them by Group, leaves them behind after a crash, and keeps a
// goroutine and a descriptor once it was used.
//
// Under Cgroup and Marker, this process is the parent of orphans until the Host is closed
// (PR_SET_CHILD_SUBREAPER), and the Host reaps those of its trees. During a fork the whole process
// has the mark of the tree. Another fork in that time would start a member of the tree, so a
// process with a Host should start all its children by the Host.
type Host struct {
	kind       Containment
	provider   containment.Provider
	preparer   preparer
	recovered  Recovery
	unverified atomic.Bool // a tree was closed that may have living processes
	poller     *poller.Poller
	ruleUnused func(UnusedRule) // nil for nothing
	hostParts
}

// Recovery is what Open has found of crashed servers: how many there were, how many of their
// processes it has ended, and how many processes and cgroups it could not end.
type Recovery struct{ Servers, Processes, Left int }

// UnavailableError means that this machine does not support the containment of the Options.
type UnavailableError struct {
	Containment Containment
	Why         error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("containment %q is unavailable: %v", string(e.Containment), e.Why)
}

// Unwrap returns Why.
func (e *UnavailableError) Unwrap() error { return e.Why }

// Open ends what crashed servers have left that are recorded in the state directory, and selects a
// containment. The error is an *UnavailableError, that the state directory cannot be used, or that
// no descriptor is free. The caller closes the Host.
func Open(o Options) (*Host, error) {
	h := newHost(leader.System())
	h.kind, h.ruleUnused = cmp.Or(o.Containment, Auto), o.SandboxRuleUnused
	var err error
	if h.poller, err = poller.Open(); err != nil {
		return nil, err
	}
	if err := h.open(o); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

// Containment returns the selected containment.
func (h *Host) Containment() Containment { return h.orPlain().kind }

// Recovered returns what Open has found of crashed servers.
func (h *Host) Recovered() Recovery { return h.orPlain().recovered }

// Close releases the Host, after all its processes were closed. It kills what is left of trees that
// had living processes when they were closed, or could not be checked. That takes at most two
// seconds. The error is that processes still run, or may still run, or that a cgroup could not be
// removed; the next Open with the same state directory tries again.
func (h *Host) Close() error {
	h = h.orPlain()
	defer h.poller.Close() // last: it waits for the keeper's exit too
	return h.close()
}

// plainHost is used in place of a nil Host.
var plainHost = sync.OnceValue(func() *Host { return newHost(leader.System()) })

func (h *Host) orPlain() *Host {
	if h == nil {
		return plainHost()
	}
	return h
}
