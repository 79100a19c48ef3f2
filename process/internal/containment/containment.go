// Package containment defines the interfaces between a host and the ways to keep the processes of a
// tree together: a Provider starts contained trees, and a Tree is one of them.
//
// The providers are the packages pgroup, mark and cgroup. The host selects one; nothing else
// depends on which.
package containment

import (
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/watch"
)

// Provider contains the trees of one host. Its methods may be called from any goroutine.
type Provider interface {
	// NewStart begins the start of a tree and adds to attr what the fork needs. If fresh is true,
	// no resource is reused that another tree had before. tag is what TagOf returns for a process
	// of the tree. The caller calls either Start.Cancel or Start.Tree and then Tree.Close.
	NewStart(attr *syscall.ProcAttr, tag any, fresh bool) (Start, error)
	// TagOf returns the tag of the tree to which a process belongs, also one that has left it and
	// can still be found, from before the first instruction of the leader until the tree is closed.
	// The error is that it may belong to a tree, but not to which.
	TagOf(a *proctable.Ancestry) (tag any, m Membership, err error)
	// ForkHelper calls fork, whose child belongs to no tree and is not taken for an orphan. Observer
	// is notified when it is reaped; it may be nil.
	ForkHelper(fork func() (pid int, err error)) (pid int, err error)
	Observer() leader.Observer
	// Controls reports whether a controller of cgroup version 2, such as "memory", can limit each
	// tree.
	Controls(controller string) bool
	// NoteUnverified is called for a tree that may still have living processes when it is closed.
	NoteUnverified()
	// Leftovers lists the processes that trees may have left when they were closed. The error says
	// why that is not possible.
	Leftovers() (Lister, error)
	// Close releases everything. All trees are closed.
	Close() error
}

// Membership is how a process was found to belong to a tree.
type Membership int

// The values of Membership.
const (
	NoMember Membership = iota // as far as the containment can know
	Claimed                    // by a mark that a process can set itself
	Proven                     // by what a process cannot change without the rights of this process
)

// Start is the start of one tree. It is used by one goroutine.
type Start interface {
	// Fork calls fork, whose child is then contained from its first instruction.
	Fork(fork func() (pid int, err error)) (pid int, err error)
	// RetryFresh reports whether Fork failed with err since a reused resource is unusable.
	RetryFresh(err error) bool
	// Replace is called before the child of Fork may make other children of this process
	// (CLONE_PARENT), which are not taken for orphans from then on. The caller reaps all but one of
	// them and then calls replaced with that one, which is the leader, or reaps all and calls it with
	// 0. helper is a child of ForkHelper, whose only child is the first process of a PID namespace in
	// which the tree is; 0 for none.
	Replace(pid int) (replaced func(leader, helper int))
	// Limit sets the limit of a controller for which Controls is true.
	Limit(controller string, max int64) error
	// OOMKills returns how many processes of the tree the kernel has killed at a memory limit set
	// by Limit. It may also be called after Tree, until the tree is closed.
	OOMKills() uint64
	// Cancel releases everything. pid is a child that was forked and has been reaped since, 0 for
	// none.
	Cancel(pid int)
	// Tree returns the tree of a leader that Fork has started. If terminal is true, the leader may
	// be a shell with job control.
	Tree(l *leader.Leader, terminal bool) Tree
}

// NoLimits is the part of a Start whose provider cannot limit trees.
type NoLimits struct{}

// Limit returns an error.
func (NoLimits) Limit(string, int64) error { return syscall.ENOTSUP }

// OOMKills returns 0.
func (NoLimits) OOMKills() uint64 { return 0 }

// Tree is the processes of one tree: its members. Methods may be called from any goroutine. None
// waits for a process but Pause and Terminate, which wait for at most 100 ms.
type Tree interface {
	// Signal sends sig to every member. The error is os.ErrProcessDone if there is none, or none
	// that can still be named.
	Signal(sig syscall.Signal) error
	// Deliver is Signal, and lists in ascending order the members that may not be signaled, if
	// others were. If none was, the error is a *leader.NotPermittedError.
	Deliver(sig syscall.Signal) (denied []int, err error)
	// SignalLeader sends sig to the leader alone. The error is os.ErrProcessDone if it has exited.
	SignalLeader(sig syscall.Signal) error
	// Pause stops every member. If one may not be signaled, it stops none, and the error is a
	// *leader.NotPermittedError.
	Pause() error
	// Resume continues the members that Pause has stopped. A process group continues all of its
	// members.
	Resume() error
	// Terminate sends sig to every member, and continues stopped ones so that they act on it.
	Terminate(sig syscall.Signal) error
	// Continue continues every stopped member, whatever has stopped it.
	Continue()
	// Alive reports whether a member has not ended. It costs less than Members. An error means that
	// it cannot be known.
	Alive() (bool, error)
	// Members lists the members that have not ended. An error means that some may be missing.
	Members() ([]int, error)
	// EachDescendant calls f for the members but the leader, at most max times, as far as they can
	// be found in little time. isMember reports whether the process id still names a member. The
	// result is false if none will be found any more.
	EachDescendant(max int, f func(pid int, isMember func() bool)) (found bool)
	// Watch watches for an event that may be the end of the last member. It returns nil if none can
	// be watched.
	Watch() *watch.Watch
	// ReapLeaderFirst reports whether to reap the leader before the tree is checked for other
	// members, which is then cheaper.
	ReapLeaderFirst() bool
	// Usage returns what was counted for the whole tree. It is called at most once, before Close.
	// killed is true if SIGKILL has ended the leader.
	Usage(killed bool) Usage
	// Close releases what holds the tree. Later calls of other methods affect no process.
	Close()
}

// Signaler is a part of Tree.
type Signaler interface {
	Signal(sig syscall.Signal) error
	Continue()
}

// Usage is what was counted for a tree, including processes that no parent has waited for.
type Usage struct {
	HasTimes      bool
	UserTime      time.Duration
	SystemTime    time.Duration
	HasPeakMemory bool
	PeakMemory    int64 // bytes; 0 if it is unknown
}

// Lister lists processes and signals them one by one.
type Lister interface {
	// Each calls f for every listed process that has not ended, as it is found. An error means that
	// some may be missing.
	Each(f func(proctable.Entry)) error
	// Contains reports whether a process is listed.
	Contains(pid int) (bool, error)
	// Signal sends sig to e if it is still the same process and still listed. Otherwise the error
	// is ESRCH.
	Signal(e proctable.Entry, sig syscall.Signal) error
}
