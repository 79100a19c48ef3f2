package process

import (
	"cmp"
	"context"
	"sync/atomic"
	"syscall"
	"time"
)

// Attempt is one start of a command. It takes as long as the file systems take on which the program, its interpreter
// and the working directory are, which is for ever if one of them no longer responds.
type Attempt struct {
	host *Host
	spec Spec
	at   atomic.Pointer[string]
	held atomic.Bool // all files are held, and the exec waits for nobody

	files    files // what Prepare took
	prepared bool
}

// Attempt prepares a start of spec. It does not block.
func (h *Host) Attempt(spec Spec) *Attempt {
	a := &Attempt{host: h.orPlain(), spec: spec}
	if len(spec.Argv) > 0 {
		a.at.Store(&spec.Argv[0])
	}
	return a
}

// Path is the file or directory that the start waits for, or waited for last. It may be called from any goroutine.
func (a *Attempt) Path() string {
	if path := a.at.Load(); path != nil {
		return *path
	}
	return ""
}

// MayWait says whether the start may still wait for a file system. It may be called from any goroutine.
func (a *Attempt) MayWait() bool { return !a.held.Load() }

// Start runs the command as the leader of a new session (setsid(2)) and process group. It is called once. Every error is a
// *SpawnError, a *LimitError, an *AttributeError or, if ctx ended first, its cause, and leaves neither process nor descriptor. The caller owes
// the Process a WaitExit, Sweep, Reap and Close.
//
// The end of ctx ends a wait for a lease (fcntl(2), F_SETLEASE) and for a program that is not executed yet. It does not
// end a system call that waits for a file system: then Start returns when that does. No other Start waits meanwhile.
func (a *Attempt) Start(ctx context.Context) (*Process, error) {
	spec := &a.spec
	if err := spec.check(); err != nil {
		return nil, err
	}
	path, files, err := a.open(ctx)
	defer files.close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, spec.refusal(err)
	}
	a.held.Store(!files.mayWait)
	ends, err := spec.openStdio()
	if err != nil {
		return nil, err
	}
	began := time.Now() // the command runs already when Start returns, and may even be over
	p, err := a.host.spawn(ctx, path, spec, ends.child, files.mayWait)
	ends.closeChild()
	if err != nil {
		ends.closeParent()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, spec.refusal(err)
	}
	p.began = began
	p.terminal = spec.Terminal != nil
	p.stop = cmp.Or(spec.StopSignal, syscall.SIGTERM)
	p.stdin, p.stdout, p.stderr = ends.files()
	if files.mayWait && ctx.Err() != nil { // it was killed, perhaps before the exec
		p.Discard()
		return nil, context.Cause(ctx)
	}
	return p, nil
}

// open finds the program and holds what its exec opens, unless Prepare has done that.
func (a *Attempt) open(ctx context.Context) (path string, f files, err error) {
	if a.prepared {
		return a.files.path, a.files, nil
	}
	if path, err = a.spec.program(); err == nil {
		f, err = a.hold(ctx, path)
	}
	return path, f, err
}

// Discard kills the tree, and returns when it is gone or given up on. It is called instead of WaitExit, Sweep, Reap and
// Close.
func (p *Process) Discard() {
	_ = p.Kill()
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	_, _ = p.Reap()
	p.Close()
}
