package process

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// Step is called first in main by a program that starts commands with limits or attributes, or from file systems that may
// block an exec, or that sets Options.Keeper. It does not return if this process was started as the exec step, or as a keeper
// whose server has ended.
func Step() {
	if serverwatch.Received != nil {
		keep(serverwatch.Received)
	}
	spawn.RunStep()
}

// exec forks the child that becomes the program, or the exec step.
func (b *spawnRequest) exec() (pid int, err error) {
	if b.mayWait && spawn.StepReady() {
		return b.startStep()
	}
	if b.limits == nil {
		return syscall.ForkExec(b.path, b.spec.Argv, b.attr)
	}
	if b.traceable() {
		pid, err = spawn.Traced(b.path, b.spec.Argv, b.attr, b.limits.setup())
		if err != nil && pid > 0 {
			discard(pid)
		}
		if err != syscall.EPERM && err != syscall.EACCES && err != syscall.ENOSYS { // else tracing may be refused
			return pid, b.startError(err)
		}
	}
	if !spawn.StepReady() {
		return -1, errors.Join(err, spawn.ErrNoStep)
	}
	return b.startStep()
}

// traceable reports whether the program may be started as a tracee.
func (b *spawnRequest) traceable() bool {
	return !b.limits.untraced && !b.limits.setup().NeedsStep() && (unix.Geteuid() == 0 || !spawn.GainsPrivileges(b.attr.Dir, b.path))
}

func (b *spawnRequest) startStep() (pid int, err error) {
	pid, b.step, err = spawn.StartStep(b.path, b.spec.Argv, b.attr)
	return pid, err
}

// pass lets the exec step execute the program. It holds no lock: the exec may block for any time.
func (b *spawnRequest) pass(ctx context.Context, pid int) error {
	err := b.step.Continue(ctx, pid, b.limits.setup())
	if err == nil {
		return nil
	}
	discard(pid)
	b.closePidfd()
	if b.mark != 0 {
		b.host.table.release(b.mark)
		b.mark = 0
	}
	if b.host.init != nil {
		b.host.init.reaped(pid)
	}
	return b.startError(err)
}

// startError is the error of Start for what failed in the child.
func (b *spawnRequest) startError(err error) error {
	failed, ok := errors.AsType[*spawn.Error](err)
	switch {
	case ok && failed.Op == spawn.Chdir:
		return &SpawnError{Path: b.spec.Dir, Op: "chdir", Errno: failed.Errno}
	case ok && failed.Op == spawn.SetNice:
		return &AttributeError{NiceAttribute, failed.Errno}
	}
	return err
}

// discard kills and reaps a child that has not executed an instruction of its program.
func discard(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_, _ = exited(pid, 0)
	reaping.Lock()
	defer reaping.Unlock()
	_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
}
