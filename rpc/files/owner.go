package files

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Owner is one caller of a Pool, as one session of a protocol: its handles are closed with it. All
// methods may be called concurrently.
type Owner struct {
	pool      *Pool
	principal string

	mu      sync.Mutex
	closed  bool
	handles map[string]*handle
}

// NewOwner returns an owner, which must be closed. Owners of the same principal share its bounds.
func (p *Pool) NewOwner(principal string) *Owner {
	return &Owner{pool: p, principal: principal, handles: make(map[string]*handle)}
}

// Close closes all handles, and makes further operations fail with ErrClosed. Operations that run are
// ended by their contexts. Close does not wait for a file system: [Pool.Close] does.
func (o *Owner) Close() {
	o.mu.Lock()
	handles := o.handles
	o.handles, o.closed = nil, true
	o.mu.Unlock()
	open := make([]*handle, 0, len(handles))
	for _, h := range handles {
		if h != nil {
			open = append(open, h)
		}
	}
	o.pool.closeHandles(open)
}

// isClosed reports whether Close was called.
func (o *Owner) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// task is one operation while it runs.
type task struct {
	ctx         context.Context
	pool        *Pool
	principal   string
	view        *view
	ruleLookups int   // see maxRuleLookups
	maxFile     int64 // see Access.MaxFileBytes
}

// check returns an *Error if the operation has to end.
func (t *task) check() error { return ended(t.ctx) }

// run runs an operation on paths, with the rights of the user of an Access.
func run[T any](ctx context.Context, o *Owner, op string, limit time.Duration, a *Access, paths []Path, f func(t *task) (T, error), discard func(T)) (T, error) {
	var none T
	checked := func() error {
		if o.isClosed() {
			return &Error{Kind: ErrClosed}
		}
		for _, p := range paths {
			if err := p.check(); err != nil {
				return err
			}
		}
		return a.check()
	}
	if err := checked(); err != nil {
		return none, named(op, "", err)
	}
	value, err := do(ctx, o.pool, o.principal, limit, func(ctx context.Context) (value T, err error) {
		t := &task{ctx: ctx, pool: o.pool, principal: o.principal, maxFile: a.maxFileBytes()}
		userErr := a.run(func() {
			if t.view, err = t.newView(a); err == nil {
				value, err = f(t)
			}
		})
		if userErr != nil {
			return none, userErr
		}
		return value, err
	}, discard)
	if err != nil {
		return none, named(op, paths[0].Name, err)
	}
	return value, nil
}

// named returns an error of an operation with its name, and with a path if it has none. Errors about
// the sandbox itself are returned as they are.
func named(op, path string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	located := *e
	located.Op = op
	if located.Path == "" {
		located.Path = path
	}
	return &located
}
