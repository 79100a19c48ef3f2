// Package process runs one supervised process tree: it starts a command, reads its output, signals,
// pauses and ends the command with all its descendants, and returns how it ended.
//
// The life of a Process, in the order in which its owner calls:
//
//	Start     forks the leader
//	          while the tree runs: read Stdout and Stderr, write Stdin,
//	          Signal, Pause, Resume, Terminate, Kill
//	WaitExit  waits until the leader exits; OnExit reports it without a goroutine
//	Sweep     ends the rest of the tree
//	Reap      reaps the leader and returns its exit status
//	Close     releases descriptors and the containment
//
// The leader is the child of this process; the other processes of the tree are its descendants.
// What keeps them together is the containment of the Host that has started them: see [Containment].
//
// The package supports Linux (5.4 and later; best from 6.9 on), and Darwin as far as development
// needs it.
//
// # Compatibility
//
// The package serves this module's server: its API may change with each minor version of the
// module, and docs/changelog.md lists each such change. Use field names in struct literals, and the
// zero value for what is not needed: the zero value of Options and of Attributes works, a Spec needs
// Argv only, and the zero value of a new field means the behavior from before it existed. Check
// errors with errors.Is and errors.As; their texts may change. The values of Containment, Limit,
// Resource and Mechanism are part of the protocol (package rpc) and do not change.
package process

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/inputwait"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Process is a started tree. Its methods may be called from any goroutine at any time unless their
// documentation says otherwise. A call that comes too late returns an error and affects no process.
type Process struct {
	host        *Host
	leader      *leader.Leader
	tree        containment.Tree
	preparation preparation
	sandbox     *sandbox.Report
	stdin       *os.File
	stdout      *Pipe
	stderr      *Pipe // nil on a terminal, and if it is merged into stdout
	stop        syscall.Signal
	stopSent    atomic.Bool // Terminate was called
	killed      atomic.Bool // SIGKILL was sent, so that a limit is not the cause of one

	began    time.Time
	terminal bool // stdin and stdout are the master of a terminal

	inspector inputwait.Inspector // for WaitsForInput

	mu     sync.Mutex
	exit   *Exit // complete, nil before the first Reap
	closed bool  // the tree is closed
}

// PID returns the process id of the leader. It is not valid after Reap.
func (p *Process) PID() int { return p.leader.PID }

// PGID returns the id of the leader's process group, which is its process id (setsid(2) before
// exec).
func (p *Process) PGID() int { return p.leader.PID }

// Started returns a time between the call of Start and the fork.
func (p *Process) Started() time.Time { return p.began }

// Containment returns what keeps the tree together.
func (p *Process) Containment() Containment { return p.host.kind }

// EnforcedLimits returns the limits of the tree and their mechanisms.
func (p *Process) EnforcedLimits() []EnforcedLimit { return p.preparation.enforced() }

// Stdout returns the read end of the tree's standard output. The end of file comes when the last
// descendant has closed it, which may be after the leader's exit. On a terminal, and with
// Spec.MergeStderr, it is standard error too.
func (p *Process) Stdout() *Pipe { return p.stdout }

// Stderr is Stdout for standard error. It returns nil if that is the same as Stdout.
func (p *Process) Stderr() *Pipe { return p.stderr }

// Stdin returns the write end of the leader's standard input, nil without Spec.Stdin. It is
// registered with the runtime's poller, so deadlines and Close interrupt a Write. Closing it sends
// the end of file. EPIPE means that no process has the read end open. On a terminal it is the
// master: closing it sends nothing, and what is written after all processes have closed the
// terminal is lost.
func (p *Process) Stdin() *os.File { return p.stdin }

// noteSignal records that the leader is sent SIGKILL, which is then not that of a limit.
func (p *Process) noteSignal(sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		p.killed.Store(true)
	}
}

// Signal sends sig to every process of the tree, also after the leader has exited. Errors:
// os.ErrProcessDone once the leader is reaped, EPERM if no process may be signaled (all have
// changed their user), EINVAL for an invalid number. Signal 0 sends nothing and returns the same
// errors.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	p.noteSignal(sig)
	return p.tree.Signal(sig)
}

// Deliver is Signal, and lists in ascending order the processes that may not be signaled, if others
// were. If none may be, the error is a *NotPermittedError.
func (p *Process) Deliver(sig syscall.Signal) (denied []int, err error) {
	if p.leader.Reaped() {
		return nil, os.ErrProcessDone
	}
	p.noteSignal(sig)
	return p.tree.Deliver(sig)
}

// SignalLeader sends sig to the leader alone. Errors: os.ErrProcessDone once it has exited,
// *NotPermittedError.
func (p *Process) SignalLeader(sig syscall.Signal) error {
	p.noteSignal(sig)
	return p.tree.SignalLeader(sig)
}

// Pause stops the whole tree (SIGSTOP). On a terminal it waits for at most 100 ms until parents
// have stopped before it stops their children, so that a shell does not report a stopped job.
// Errors are those of Signal. If some processes may not be signaled it stops none, and the error is
// a *NotPermittedError.
func (p *Process) Pause() error {
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	return p.tree.Pause()
}

// Resume continues a paused tree (SIGCONT). It does nothing for a tree that is not paused. On a
// terminal, jobs that were stopped before Pause remain stopped.
func (p *Process) Resume() error {
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	return p.tree.Resume()
}

// Terminate sends the stop signal of the Spec, then SIGCONT, since a signal to a stopped process
// remains pending. On a terminal, a leader that ignores the stop signal, as interactive shells
// ignore SIGTERM, gets SIGHUP too. If that leader blocks the signal at first, Terminate waits for at
// most 100 ms.
func (p *Process) Terminate() error { return p.TerminateBy(p.stop) }

// TerminateBy is Terminate with another signal.
func (p *Process) TerminateBy(sig syscall.Signal) error {
	p.stopSent.Store(true)
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	return p.tree.Terminate(sig)
}

// Kill sends SIGKILL to the tree, which ends stopped processes too. It does not wait.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// Exited reports whether the leader has exited, even if OnExit has not reported it yet. It takes a
// system call.
func (p *Process) Exited() bool { return p.leader.Exited() }

// ExitStatus returns the exit code of the leader, or -1 and the signal that ended it, before it is
// reaped. known is false if it has not exited or is reaped.
func (p *Process) ExitStatus() (code int, sig syscall.Signal, known bool) {
	return p.leader.ExitStatus()
}

// Alive reports whether a process of the tree has not ended. It costs less than Members: it scans
// the process table only if nothing cheaper is certain. Errors are those of Members.
func (p *Process) Alive() (bool, error) {
	if p.leader.Reaped() {
		return false, os.ErrProcessDone
	}
	return p.tree.Alive()
}

// Members lists the processes of the tree that have not ended, including the leader. Zombies are
// left out. It scans the process table, which takes 3 ms for 1000 processes. Errors:
// os.ErrProcessDone once the leader is reaped, or that some processes may be missing, since the
// process table cannot be read or processes fork and exit faster than they can be found.
func (p *Process) Members() ([]int, error) {
	if p.leader.Reaped() {
		return nil, os.ErrProcessDone
	}
	return p.tree.Members()
}

// OnExit calls f once, in a goroutine of its own, when the leader has exited, and does not reap it
// (WNOWAIT), so that its number is not reused and Signal still reaches the others. On Linux there
// is no goroutine before that. The error is os.ErrClosed after Close or Abandon. If another part of
// this process has reaped the leader, it is nil, and the Exit is not Known. Either OnExit or
// WaitExit is called, once.
func (p *Process) OnExit(f func(error)) { p.leader.OnExit(f) }

// WaitExit is OnExit, but blocks until the exit and returns the error.
func (p *Process) WaitExit() error { return p.leader.Wait() }

// Adjust sets the attributes that the Host sets for every command and that can be set only after
// the start: see Options.OOMScoreAdj and Options.ReserveProcesses, and the nice value of the
// autogroup. It is called right after Start. The score is set 10 to 20 ms later.
func (p *Process) Adjust() {
	p.host.adjuster.Started(p.leader, p.tree)
}

// Sweep ends the processes of the tree that have not ended. It sends the stop signal and SIGCONT,
// waits for at most grace, then sends SIGKILL and waits for at most two seconds. After a Terminate
// it does not send the stop signal again, since a program may exit at once at a second SIGTERM.
// With grace 0, or once ctx is done, it sends SIGKILL at once; ctx does not end the wait after
// SIGKILL. Finding that no process is left takes some µs from Linux 6.9 on, and a scan of the
// process table on older kernels (3 ms for 1000 processes).
//
// Sweep is called once, after WaitExit and before Close. It may reap the leader and keep the exit
// for Reap; Signal returns os.ErrProcessDone from then on. If the leader has not exited, it is
// treated like the other processes, so that the time is bounded even for a tree that hangs in the
// kernel.
func (p *Process) Sweep(ctx context.Context, grace time.Duration) SweepResult {
	if p.tree.ReapLeaderFirst() {
		_, _ = p.leader.Reap() // after ErrRunning it is swept with the others
	}
	r := sweep(ctx, p.tree, grace, p.stop, p.stopSent.Load())
	if len(r.Survivors) > 0 || r.Unverified {
		p.noteUnverified()
	}
	return r
}

// noteUnverified records that the tree may have living processes when it is closed.
func (p *Process) noteUnverified() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.host.unverified.Store(true)
		p.host.provider.NoteUnverified()
	}
}

// Abandon makes OnExit report os.ErrClosed, for a leader that does not end at SIGKILL. All other
// methods continue to work.
func (p *Process) Abandon() { p.leader.Abandon() }

// Reap reaps the leader and returns how it ended and its usage; later calls return the same. It
// does not block: before the exit it returns ErrRunning. It is called after Sweep, so that the
// usage of the whole tree is complete.
func (p *Process) Reap() (Exit, error) {
	raw, err := p.leader.Reap()
	if err != nil {
		return Exit{}, err
	}
	e := p.completeExit(raw)
	if e.Signal == syscall.SIGKILL && p.killed.Load() {
		e.Limit = ""
	}
	return e, nil
}

// Close closes the descriptors of the tree and releases what contains it. It may be called more
// than once. Reads and writes that wait return os.ErrClosed, and so does WaitExit. It ends no
// process: a tree that was not swept continues to run. A leader that was not reaped remains a zombie
// until Reap, which works after Close too, or until the Host reaps it as an orphan.
func (p *Process) Close() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	}
	_ = p.stdout.Close()
	if p.stderr != nil {
		_ = p.stderr.Close()
	}
	p.leader.CloseHandle()
	p.closeTree()
}

// closeTree closes the tree and releases its preparation, once.
func (p *Process) closeTree() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if first {
		p.preparation.release()
		p.tree.Close()
	}
}
