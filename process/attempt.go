package process

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// Attempt is one start of a command. It takes as long as the file systems of the program, its
// interpreter and the working directory take to respond, which may be forever.
type Attempt struct {
	host        *Host
	spec        Spec
	waits       atomic.Pointer[waited] // nil is nothing
	cannotBlock atomic.Bool            // all files are pinned

	program  execfile.Program
	pinned   execfile.Pinned
	prepared bool // pinned is from Prepare
}

// Attempt prepares a start of spec. It does not block.
func (h *Host) Attempt(spec Spec) *Attempt {
	a := &Attempt{host: h.orPlain(), spec: spec}
	if len(spec.Argv) > 0 {
		a.waitForPath(spec.Argv[0])
		a.program = execfile.Program{Name: spec.Argv[0], Dir: spec.Dir, Path: execfile.PathOf(spec.Env)}
	}
	return a
}

// Prepare looks the program up without waiting for any file system, and reports whether Start will
// not block on one either. This is the case if the kernel has all names in its cache (openat2(2),
// RESOLVE_CACHED), and all files were executed recently and are still open. It is called at most
// once, before Start. On Darwin it does nothing.
func (a *Attempt) Prepare() bool {
	if a.spec.check() != nil || a.spec.opens() {
		return false
	}
	if a.pinned, a.prepared = a.host.pinned.PinCached(&a.program); a.prepared {
		a.cannotBlock.Store(true)
	}
	return a.prepared
}

// waited is what a start waits for, or has waited for last.
type waited struct {
	path string // of a file or directory of the command
	step string // otherwise: of the making of its sandbox
}

func (a *Attempt) waitForPath(path string) { a.waits.Store(&waited{path: path}) }
func (a *Attempt) waitForStep(step string) { a.waits.Store(&waited{step: step}) }

// TimedOut returns the error, with ETIMEDOUT, of a caller that gives the start up because it takes too
// long: a *SpawnError with the file or directory for which the start waits, or has waited last, or a
// *SandboxError. It may be called from any goroutine.
func (a *Attempt) TimedOut() error {
	w := waited{}
	if last := a.waits.Load(); last != nil {
		w = *last
	}
	if w.step != "" {
		return &SandboxError{Step: w.step, Errno: syscall.ETIMEDOUT}
	}
	return &SpawnError{Path: w.path, Op: "exec", Errno: syscall.ETIMEDOUT}
}

// MayWait reports whether the start may still wait for a file system. It may be called from any
// goroutine.
func (a *Attempt) MayWait() bool { return !a.cannotBlock.Load() }

// Start runs the command as the leader of a new session (setsid(2)) and process group. It is called
// once. Every error is a *SpawnError, a *LimitError, an *AttributeError, that of Spec.Check, one of
// package sandbox about Spec.Sandbox (*NotEnforceableError, *PathError, *ExceedsError), a *SandboxError
// or, if ctx ended first, its cause or a *SandboxError that wraps it, and leaves neither a process nor a
// descriptor. The caller calls WaitExit, Sweep, Reap and Close of the Process.
//
// The end of ctx ends a wait for a lease (fcntl(2), F_SETLEASE) and for a program that is not
// executed yet. It does not end a system call that waits for a file system: Start returns after
// that call. Other calls of Start are not blocked meanwhile.
func (a *Attempt) Start(ctx context.Context) (*Process, error) {
	spec := &a.spec
	if spec.opens() {
		p, err := a.startOpened(ctx)
		if err != nil {
			a.reportRefused(err)
		}
		return p, err
	}
	var err error
	if !a.prepared {
		if err := spec.check(); err != nil {
			return nil, err
		}
		a.pinned, err = a.host.pinned.Pin(ctx, &a.program, a.waitForPath)
	}
	defer a.pinned.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, spec.refusal(err)
	}
	a.cannotBlock.Store(!a.pinned.MayBlock)
	return a.launch(ctx, executable{path: a.pinned.Path, argv: spec.Argv, mayBlock: a.pinned.MayBlock})
}

// executable is what a child executes.
type executable struct {
	path     string
	argv     []string
	mayBlock bool          // the exec may wait for a file system
	opened   *spawn.Opened // nil unless Spec.opens

	confinement *confinement // nil without a sandbox
}

// launch forks the command.
func (a *Attempt) launch(ctx context.Context, e executable) (*Process, error) {
	spec := &a.spec
	ends, err := spec.openStdio(&e)
	if err != nil {
		return nil, err
	}
	began := time.Now() // before the fork, since the command may have ended when spawn returns
	p, err := a.host.spawn(ctx, e, spec, &ends)
	ends.closeChild()
	if err != nil {
		ends.closeParent()
		if failed, ok := errors.AsType[*SandboxError](err); ok && errors.Is(failed, context.Cause(ctx)) {
			return nil, failed
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, spec.refusal(err)
	}
	p.began = began
	p.terminal = spec.Terminal != nil
	p.stop = cmp.Or(spec.StopSignal, syscall.SIGTERM)
	p.stdin, p.stdout, p.stderr = ends.files(a.host.poller)
	if e.mayBlock && ctx.Err() != nil { // the child was killed, perhaps before the exec
		p.Discard()
		return nil, context.Cause(ctx)
	}
	return p, nil
}

// Discard kills the tree and closes it. It is called instead of WaitExit, Sweep, Reap and Close.
func (p *Process) Discard() {
	_ = p.Kill()
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	_, _ = p.Reap()
	p.Close()
}
