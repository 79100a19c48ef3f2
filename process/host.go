package process

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// Options say how a Host holds trees together. The zero value is the strongest containment that there is, without a
// provision for a crash.
type Options struct {
	// Containment asks for one; "" is Auto.
	Containment Containment
	// StateDir is where a Host leaves word of what it holds, for one that is opened there after it crashed. It is made
	// where it is missing. With "" a crash leaves behind what the crashed process held.
	StateDir string
	// OnlyParent says that this process starts nobody but by this Host: whoever comes to it is an orphan, to be reaped
	// when it is dead, even if it has shed its mark.
	OnlyParent bool
	// Keeper asks for a second process that ends all trees when this process dies without closing its Host, and removes what
	// the Host made. It needs Linux, and a program that calls Step. Under Group it is told of each group right after the
	// start of the leader.
	Keeper bool
	// KeeperEnded, if not nil, is called with the reason when a keeper ended or did not start, before the next one is
	// started. It is called from a goroutine of the Host, and not after Close.
	KeeperEnded func(error)
	// ReserveProcesses is how many processes and threads fewer than this process commands may have, if a controller of
	// version 2 is delegated to it, or RLIMIT_NPROC applies. They are reserved for ending the commands.
	ReserveProcesses int
	// OOMScoreAdj, 0 to 1000, is the oom_score_adj of commands if it is more than that of this process
	// (proc_pid_oom_score_adj(5)): when memory is exhausted the kernel kills them first.
	OOMScoreAdj int
}

// Host starts trees on this machine and holds them together. Its methods may be called from any goroutine. A nil Host
// starts them under Group, and a crash leaves them behind.
//
// A Host that holds by Cgroup or Marker makes this process the parent of orphans until it is closed (PR_SET_CHILD_SUBREAPER),
// and reaps those that are its own. It lends its mark to the whole process for the moment of a fork: what else forks in
// that moment would be taken for a member of the tree, so a process that has a Host should start others by it alone.
type Host struct {
	kind       Containment
	provider   containment.Provider
	recovered  Recovery
	unverified atomic.Bool // a tree was closed that may have living processes
	hostParts
}

// Recovery is what was found of servers that crashed: how many of those, how many processes of theirs were ended, and
// how many could not be.
type Recovery struct{ Servers, Processes, Left int }

// UnavailableError says that this machine can't hold trees together in the way that was asked for.
type UnavailableError struct {
	Containment Containment
	Why         error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("containment %q is unavailable: %v", string(e.Containment), e.Why)
}

// Unwrap is why.
func (e *UnavailableError) Unwrap() error { return e.Why }

// Open ends what crashed servers left in the state directory, and probes the machine. Errors: *UnavailableError, or that
// the state directory can't be used. The Host has to be closed.
func Open(o Options) (*Host, error) {
	h := newHost(leader.System())
	h.kind = cmp.Or(o.Containment, Auto)
	if err := h.open(o); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

// Containment is what holds this Host's trees together.
func (h *Host) Containment() Containment { return h.orPlain().kind }

// Recovered is what Open found and did.
func (h *Host) Recovered() Recovery { return h.orPlain().recovered }

// Close gives back what the Host holds, after all its processes were closed. Of trees that were given up on or could not be
// inspected it kills who is left, which takes at most two seconds. An error says that somebody lives even
// then, or may, or that something of a tree could not be removed; the next Open in the same state directory tries again.
func (h *Host) Close() error { return h.orPlain().close() }

// plainHost is used in place of a nil Host.
var plainHost = sync.OnceValue(func() *Host { return newHost(leader.System()) })

func (h *Host) orPlain() *Host {
	if h == nil {
		return plainHost()
	}
	return h
}
