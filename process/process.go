// Package process runs one supervised process tree: it starts a command, reads what it writes, signals,
// pauses and ends the command with all its descendants, and tells how it ended as the kernel told it.
//
// The life of a Process, and the order its owner keeps:
//
//	Start ── Stdout/Stderr read, Stdin written, Signal, Pause, Resume, Terminate, Kill ──┐
//	Close ── Reap ── Sweep (end who is left of the tree) ── WaitExit (the leader exited) ┘
//
// The leader is the child itself; the others are its descendants. What holds them together is the containment of
// the Host that started them, see [Containment].
//
// The one rule that everything here serves: a group is named by its number only while its leader is
// certainly not reaped, because afterwards the number may belong to strangers. See group.
//
// The package knows Linux well (5.4 and up, best from 6.9) and Darwin enough to develop on.
package process

import (
	"context"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/inputwait"
	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// Process is a started tree. Its methods may be called from any goroutine at any time unless they say
// otherwise; a call that comes too late returns an error and touches nothing.
type Process struct {
	host   *Host
	leader *leader.Leader
	tree   containment.Tree
	limits *treeLimits // nil for none
	usage  usage
	stdin  *os.File
	stdout *Pipe
	stderr *Pipe // nil on a terminal, and where it is merged into stdout
	stop   syscall.Signal
	asked  atomic.Bool // Terminate was called
	killed atomic.Bool // it was sent SIGKILL, which is then no limit's

	began    time.Time
	held     []Held
	terminal bool // then stdin and stdout are its master

	inspector inputwait.Inspector // for WaitsForInput
}

// PID is the process id of the leader. After Reap it names nothing.
func (p *Process) PID() int { return p.leader.PID }

// PGID is the process group of the tree. It is the leader's pid (setsid(2) before exec).
func (p *Process) PGID() int { return p.leader.PID }

// Started is a moment between the call of Start and the fork.
func (p *Process) Started() time.Time { return p.began }

// Containment names what holds the tree together.
func (p *Process) Containment() Containment { return p.host.kind }

// Held are the limits of the tree, and what enforces each.
func (p *Process) Held() []Held { return p.held }

// Stdout is the read end of the tree's standard output. It ends when the last descendant closes it,
// which may be after the leader's exit. On a terminal, and with Spec.MergeStderr, it is standard error too.
func (p *Process) Stdout() *Pipe { return p.stdout }

// Stderr is as Stdout, for standard error; nil where that is the same as Stdout.
func (p *Process) Stderr() *Pipe { return p.stderr }

// Stdin is the write end of the leader's standard input, nil without Spec.Stdin. It is non-blocking and
// in the runtime's poller, so deadlines and Close interrupt a Write. Close it to send the end of file.
// EPIPE says that nobody reads any more. On a terminal it is the keyboard: to close it tells the tree
// nothing, and what is written when nobody has the terminal open any more goes nowhere.
func (p *Process) Stdin() *os.File { return p.stdin }

// Signal sends sig to every process of the tree; to a leader that exited and others that live on it may
// be sent too. Errors: os.ErrProcessDone once the leader is reaped, EPERM when no member may be signalled
// (all changed their user), EINVAL for no signal's number. Signal 0 sends nothing and tells the same.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	if sig == syscall.SIGKILL {
		p.killed.Store(true)
	}
	return p.tree.Signal(sig)
}

// Deliver is Signal, and lists the processes that may not be signalled, where others were, in ascending order. If none may
// be, the error is a *NotPermittedError.
func (p *Process) Deliver(sig syscall.Signal) (missed []int, err error) {
	if p.leader.Reaped() {
		return nil, os.ErrProcessDone
	}
	if sig == syscall.SIGKILL {
		p.killed.Store(true)
	}
	return p.tree.Deliver(sig)
}

// SignalLeader sends sig to the leader alone. Errors: os.ErrProcessDone once it has exited, *NotPermittedError.
func (p *Process) SignalLeader(sig syscall.Signal) error {
	if sig == syscall.SIGKILL {
		p.killed.Store(true)
	}
	return p.tree.SignalLeader(sig)
}

// Pause stops the whole tree (SIGSTOP). On a terminal it waits, for at most 100 ms, until parents have stopped
// before it stops their children, lest a shell report a stopped job. Errors are those of Signal; where
// some may not be signalled it stops none, and the error is a *NotPermittedError.
func (p *Process) Pause() error {
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	return p.tree.Pause()
}

// Resume lets a paused tree go on (SIGCONT); for one that runs it does nothing. On a terminal, jobs that were
// stopped before the Pause stay so.
func (p *Process) Resume() error {
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	return p.tree.Resume()
}

// Terminate asks the tree to end: the Spec's StopSignal, then SIGCONT, since a signal to a stopped process only pends. On
// a terminal a leader that ignores that signal, as interactive shells do with SIGTERM, gets SIGHUP too.
func (p *Process) Terminate() error { return p.TerminateBy(p.stop) }

// TerminateBy is Terminate with another signal.
func (p *Process) TerminateBy(sig syscall.Signal) error {
	p.asked.Store(true)
	if p.leader.Reaped() {
		return os.ErrProcessDone
	}
	return p.tree.Terminate(sig)
}

// Kill ends the tree by SIGKILL, which acts on stopped processes too. It does not wait: WaitExit does.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// Exited says whether the leader has exited, also where WaitExit has not returned yet. It costs a system call.
func (p *Process) Exited() bool { return p.leader.Exited() }

// ExitStatus is how the leader ended, before it is reaped: its exit code, or -1 and the signal. It is not known for one that
// runs or was reaped.
func (p *Process) ExitStatus() (code int, sig syscall.Signal, known bool) {
	return p.leader.ExitStatus()
}

// Alive says whether a process of the tree is not dead, as Living does but for less: it reads the process table
// only where nothing cheaper is certain. Errors are those of Living.
func (p *Process) Alive() (bool, error) {
	if p.leader.Reaped() {
		return false, os.ErrProcessDone
	}
	return p.tree.Alive()
}

// Members lists the processes of the tree that are not dead, the leader among them while it runs; others
// that nobody reaped do not count. It reads the process table (3 ms for 1000 processes), so poll it
// seldom. Errors: os.ErrProcessDone once the leader is reaped, ErrElusive, or why the table can't be read.
func (p *Process) Members() ([]int, error) {
	if p.leader.Reaped() {
		return nil, os.ErrProcessDone
	}
	return p.tree.Members()
}

// WaitExit blocks until the leader exited and leaves it unreaped (WNOWAIT), so that its number stays its
// own and Signal still reaches the others. One caller. On Linux it holds a goroutine and no OS thread.
// It returns os.ErrClosed if Close comes first. If someone else reaped the leader, it is nil and the exit
// is not Known.
func (p *Process) WaitExit() error { return p.leader.Wait() }

// Adjust gives the command what its Host gives to each and what can be given to a running process alone: see
// Options.OOMScoreAdj and Options.ReserveProcesses, and the nice value of the autogroup. Call it right after Start, of which it
// is no part so that what follows is not delayed by the 10 µs that it takes.
func (p *Process) Adjust() {
	p.host.adjuster.Started(p.leader, p.tree)
}

// Sweep ends every member of the tree that still lives: StopSignal and SIGCONT, then for at most grace
// nothing, then SIGKILL and at most two seconds for it to work. After a Terminate it does not ask again: a
// program may take a second SIGTERM for impatience. With grace 0, or once ctx is done, it kills at once;
// ctx never cuts the killing short. To learn that nobody is left costs some µs from Linux 6.9 on,
// elsewhere a reading of the process table (3 ms for 1000 processes).
//
// Call it once, after WaitExit and before Close: it may reap the leader, keeping the exit for Reap, and
// Signal returns os.ErrProcessDone from then on. Called for a leader that does not exit, it takes the
// leader for one of the others, so that even a tree stuck in the kernel is given up on in bounded time.
func (p *Process) Sweep(ctx context.Context, grace time.Duration) SweepResult {
	if p.tree.ReapLeaderFirst() {
		_, _ = p.leader.Reap() // ErrRunning: then it is swept with the others
	}
	r := sweep(ctx, p.tree, grace, p.stop, p.asked.Load())
	if len(r.Survivors) > 0 || r.Unverified {
		p.usage.noteUnverified(p)
	}
	return r
}

// Abandon makes WaitExit return os.ErrClosed, for a leader that even SIGKILL does not end. Everything else
// works on.
func (p *Process) Abandon() { p.leader.Abandon() }

// Reap takes the leader's exit status and usage from the kernel, once; later calls return the same. It
// never blocks: before the leader's exit it returns ErrRunning and takes nothing. Call it after Sweep, or what is
// counted of the whole tree is not all.
func (p *Process) Reap() (Exit, error) {
	raw, err := p.leader.Reap()
	if err != nil {
		return Exit{}, err
	}
	e := p.usage.complete(p, raw)
	if e.Signal == syscall.SIGKILL && p.killed.Load() {
		e.Limit = ""
	}
	return e, nil
}

// Close closes every descriptor that is left, gives back what held the tree, and may be called more than once. Blocked
// reads, writes and WaitExit return os.ErrClosed. It ends no process: an unswept tree runs on, an unreaped leader stays a
// zombie until Reap, which works after Close too, or until a Host that adopts orphans takes it for one.
func (p *Process) Close() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	}
	_ = p.stdout.Close()
	if p.stderr != nil {
		_ = p.stderr.Close()
	}
	p.leader.CloseHandle()
	p.usage.close(p)
}
