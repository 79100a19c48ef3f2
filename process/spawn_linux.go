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
	host    *Host
	path    string
	spec    *Spec
	attr    *syscall.ProcAttr
	pidfd   int
	mayWait bool              // the exec may block, and is left to the exec step
	start   containment.Start // nil before fork and after cancel
	limits  *treeLimits       // nil if there are no limits and attributes to set
	step    *spawn.Step       // after exec, if the child is the exec step
}

// spawn starts the program at path with the given standard descriptors. It returns once the exec is
// done, or when the child was killed since ctx ended.
func (h *Host) spawn(ctx context.Context, path string, spec *Spec, stdio [3]int, mayWait bool) (*Process, error) {
	h.keeper.AwaitFirst()
	r := &spawnRequest{host: h, path: path, spec: spec, attr: spec.attr(stdio), mayWait: mayWait}
	leader.RequestPidfd(r.attr.Sys, &r.pidfd)
	pid, err := r.fork(false)
	if err != nil && r.start != nil && r.start.RetryFresh(err) {
		r.cancel(0)
		pid, err = r.fork(true)
	}
	if err != nil {
		r.cancel(0)
		return nil, err
	}
	if err := r.passStep(ctx, pid); err != nil {
		r.cancel(pid)
		return nil, err
	}
	return r.process(leader.New(pid, r.pidfd)), nil
}

// fork prepares the containment and the limits, and forks the child. If fresh is true, it reuses no
// resource of another tree.
func (r *spawnRequest) fork(fresh bool) (pid int, err error) {
	if r.start, err = r.host.provider.NewStart(r.attr, fresh); err != nil {
		r.start = nil
		return 0, err
	}
	var change Attributes
	if r.spec.Attributes.differ() {
		change = r.spec.Attributes.changed(r.spec.Limits)
	}
	if len(r.spec.Limits) > 0 || change.differ() {
		if r.limits, err = r.host.limit(r.spec.Limits, change, r.start); err != nil {
			return 0, err
		}
	}
	pid, err = r.start.Fork(r.exec) // the provider calls exec so that the child is contained
	if err != nil {
		r.closePidfd()
	}
	return pid, err
}

func (r *spawnRequest) closePidfd() {
	if r.pidfd >= 0 {
		_ = unix.Close(r.pidfd)
		r.pidfd = -1
	}
}

// cancel releases everything. pid is a child that was reaped, 0 for none.
func (r *spawnRequest) cancel(pid int) {
	r.limits.close()
	r.limits = nil
	if r.start != nil {
		r.start.Cancel(pid)
		r.start = nil
	}
}

// exec forks the child that becomes the program, or the exec step.
func (r *spawnRequest) exec() (pid int, err error) {
	if r.mayWait && spawn.StepReady() {
		return r.startStep()
	}
	if r.limits == nil {
		return syscall.ForkExec(r.path, r.spec.Argv, r.attr)
	}
	if r.traceable() {
		pid, err = spawn.Traced(r.path, r.spec.Argv, r.attr, r.limits.setup)
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
	return !r.host.untraced && !r.limits.setup.NeedsStep() && (unix.Geteuid() == 0 || !spawn.GainsPrivileges(r.attr.Dir, r.path))
}

func (r *spawnRequest) startStep() (pid int, err error) {
	pid, r.step, err = spawn.StartStep(r.path, r.spec.Argv, r.attr)
	return pid, err
}

// passStep lets the exec step execute the program, if the child is one. It holds no lock: the exec
// may block for any time.
func (r *spawnRequest) passStep(ctx context.Context, pid int) error {
	if r.step == nil {
		return nil
	}
	var setup *spawn.Setup
	if r.limits != nil {
		setup = r.limits.setup
	}
	err := r.step.Continue(ctx, pid, setup)
	if err == nil {
		return nil
	}
	leader.Discard(pid)
	r.closePidfd()
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
	}
	return err
}

func (r *spawnRequest) process(l *leader.Leader) *Process {
	p := &Process{host: r.host, leader: l, limits: r.limits}
	if r.limits != nil {
		p.enforced = r.limits.enforced
		_, l.Timed = r.spec.Limits[CPUSeconds]
	}
	p.tree = r.start.Tree(l, r.spec.Terminal != nil)
	return p
}
