package process

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/keeper"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// Step is called first in main by a program that starts commands with limits or attributes, or from
// file systems that may block an exec, or that sets Options.Keeper. It does not return if this
// process was started as the exec step, or as a keeper whose server has ended.
func Step() {
	keeper.RunIfStarted()
	spawn.RunStep()
}

// spawnRequest is the start of one tree.
type spawnRequest struct {
	host       *Host
	executable // if its exec may block, it is left to the exec step
	spec       *Spec
	stdio      *stdio
	pidfd      int

	command     spawn.Command     // of the last fork
	start       containment.Start // nil before prepare
	preparation preparation       // nil if start is
	confined    *confined         // nil without a sandbox; it is the preparation then
	step        *spawn.Step       // after exec, if the child is the exec step
}

// spawn starts the executable of a spec with the given standard descriptors, which it replaces if the
// terminal is that of a sandbox. It returns once the exec is done, or when the child was killed since
// ctx ended.
func (h *Host) spawn(ctx context.Context, e executable, spec *Spec, ends *stdio) (*Process, error) {
	h.keeper.AwaitFirst()
	r := &spawnRequest{host: h, executable: e, spec: spec, stdio: ends}
	pid, err := r.fork(ctx, false)
	if err != nil && r.start != nil && r.start.RetryFresh(err) {
		r.cancel(0)
		pid, err = r.fork(ctx, true)
	}
	if err != nil {
		r.cancel(0)
		return nil, err
	}
	if r.confined != nil {
		if pid, err = r.enterSandbox(ctx, pid); err != nil {
			r.cancel(pid)
			return nil, err
		}
	}
	if err := r.passStep(ctx, pid); err != nil {
		r.cancel(pid)
		return nil, err
	}
	return r.process(leader.New(pid, r.pidfd, h.poller)), nil
}

// fork prepares the start and forks the child. If fresh is true, it reuses no resource of another
// tree.
func (r *spawnRequest) fork(ctx context.Context, fresh bool) (pid int, err error) {
	if err := r.prepare(ctx, fresh); err != nil {
		return 0, err
	}
	pid, err = r.start.Fork(r.exec) // the provider calls exec so that the child is contained
	if err != nil {
		r.closePidfd()
	}
	return pid, err
}

// prepare prepares the containment and the command. It makes a new command, since an earlier call
// may have changed the last one.
func (r *spawnRequest) prepare(ctx context.Context, fresh bool) error {
	r.command = spawn.Command{Path: r.path, Argv: r.argv, Attr: r.spec.attr(r.stdio.child), Opened: r.opened}
	leader.RequestPidfd(r.command.Attr.Sys, &r.pidfd)
	start, err := r.host.provider.NewStart(r.command.Attr, r.spec.treeTag(), fresh)
	if err != nil {
		return err
	}
	prepared, err := r.host.preparer.prepare(&r.command, r.spec, start)
	if err != nil {
		start.Cancel(0)
		return err
	}
	if r.confinement != nil {
		r.confined = r.confinement.begin(ctx, &r.command, r.stdio.child, prepared)
		prepared = r.confined
	}
	r.start, r.preparation = start, prepared
	return nil
}

func (r *spawnRequest) closePidfd() {
	if r.pidfd >= 0 {
		_ = unix.Close(r.pidfd)
		r.pidfd = -1
	}
}

// cancel releases everything. pid is a child that was reaped, 0 for none.
func (r *spawnRequest) cancel(pid int) {
	if r.start == nil {
		return
	}
	r.preparation.release()
	r.start.Cancel(pid)
	r.start, r.preparation, r.confined = nil, nil, nil
}

// exec forks the child that becomes the program, or the exec step.
func (r *spawnRequest) exec() (pid int, err error) {
	switch ready := spawn.StepReady(); {
	case r.mayBlock && ready:
		return r.startStep()
	case r.opened != nil:
		return -1, spawn.ErrNoStep
	}
	if r.command.Setup == nil {
		return syscall.ForkExec(r.command.Path, r.command.Argv, r.command.Attr)
	}
	if r.traceable() {
		pid, err = spawn.Traced(&r.command)
		if err != nil && pid > 0 {
			leader.Discard(pid)
		}
		if err != syscall.EPERM && err != syscall.EACCES && err != syscall.ENOSYS { // otherwise tracing may be refused
			return pid, r.startError(err)
		}
	}
	if !spawn.StepReady() {
		return -1, errors.Join(err, spawn.ErrNoStep)
	}
	return r.startStep()
}

// traceable reports whether the program may be started as a tracee.
func (r *spawnRequest) traceable() bool {
	c := &r.command
	return !c.Setup.NeedsStep() && (unix.Geteuid() == 0 || !spawn.GainsPrivileges(c.Attr.Dir, c.Path))
}

func (r *spawnRequest) startStep() (pid int, err error) {
	pid, r.step, err = spawn.StartStep(&r.command)
	return pid, err
}

// enterSandbox passes the sandbox to the step. If it has namespaces, another child enters them, which
// becomes the command. After an error the child is reaped.
func (r *spawnRequest) enterSandbox(ctx context.Context, step int) (command int, err error) {
	if err := r.confined.await(&r.command, r.stdio); err != nil {
		r.step.Close()
		r.discard(step)
		return step, err
	}
	if r.confined.namespaces == nil {
		return step, nil
	}
	replaced := r.start.Replace(step)
	entered, err := r.step.Enter(ctx, step)
	if err != nil {
		leader.DiscardGroup(step)
		replaced(0, 0)
		r.closePidfd()
		return 0, r.startError(err)
	}
	r.discard(step)
	leader.Discard(entered.Helper)
	if fd, err := unix.PidfdOpen(entered.PID, 0); err == nil {
		r.pidfd = fd
	}
	replaced(entered.PID, r.confined.helper)
	return entered.PID, nil
}

// discard kills and reaps the child.
func (r *spawnRequest) discard(pid int) {
	leader.Discard(pid)
	r.closePidfd()
}

// passStep lets the exec step execute the program, if the child is one. It holds no lock: the exec
// may block for any time.
func (r *spawnRequest) passStep(ctx context.Context, pid int) error {
	if r.step == nil {
		return nil
	}
	err := r.step.Continue(ctx, pid)
	if err == nil {
		return nil
	}
	r.discard(pid)
	return r.startError(err)
}

// startError is the error of Start for what failed in the child.
func (r *spawnRequest) startError(err error) error {
	failed, ok := errors.AsType[*spawn.Error](err)
	switch {
	case ok && failed.Op == spawn.Chdir:
		return &SpawnError{Path: r.spec.Dir, Op: "chdir", Errno: failed.Errno}
	case ok && failed.Op == spawn.SetNice:
		return &AttributeError{NiceAttribute, failed.Errno}
	case ok && failed.Op == spawn.SetPrivileges:
		return &AttributeError{NoNewPrivilegesAttribute, failed.Errno}
	case ok && failed.Op == spawn.SetUser:
		return r.spec.userError(failed.Errno)
	case ok && failed.Op == spawn.SetTerminal:
		return terminalError(failed)
	case ok && failed.Op == spawn.SetSandbox:
		return &SandboxError{Step: "entering it", Errno: failed.Errno}
	case ok && r.opened != nil: // Spec.refusal would look at the directory with other rights
		return &SpawnError{Path: r.spec.Argv[0], Op: "exec", Errno: failed.Errno}
	}
	return err
}

func (r *spawnRequest) process(l *leader.Leader) *Process {
	_, l.Timed = r.spec.Limits[CPUSeconds]
	tree := r.start.Tree(l, r.spec.Terminal != nil)
	p := &Process{host: r.host, leader: l, tree: tree, preparation: r.preparation}
	if r.confined != nil {
		p.sandbox = &r.confined.report
	}
	return p
}
