package files

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Options are the bounds of a Pool. A zero field has its default.
type Options struct {
	MaxOperations            int           // that run at a time, also those whose caller has gone
	MaxOperationsOfPrincipal int           // the same of one principal
	MaxHandles               int           // that are open, of all owners; a principal has at most a quarter
	MaxHandlesOfOwner        int           // that are open, of one owner
	MaxReadBytes             int64         // of a file that ReadFile reads
	MaxReadMemory            int64         // that all running ReadFile read; a principal has at most a quarter
	Timeout                  time.Duration // of an operation on one file, with the wait for its turn
	TreeTimeout              time.Duration // of Walk, Copy and Remove

	listedBytes int                      // for tests: MaxListedBytes
	listed      int                      // for tests: MaxDirectoryEntries
	hook        func(point, path string) // for tests: it is called before system calls
}

func (o Options) withDefaults() Options {
	o.MaxOperations = cmp.Or(o.MaxOperations, DefaultMaxOperations)
	o.MaxOperationsOfPrincipal = cmp.Or(o.MaxOperationsOfPrincipal, DefaultMaxOperationsOfPrincipal)
	o.MaxHandles = cmp.Or(o.MaxHandles, DefaultMaxHandles)
	o.MaxHandlesOfOwner = cmp.Or(o.MaxHandlesOfOwner, DefaultMaxHandlesOfOwner)
	o.MaxReadBytes = cmp.Or(o.MaxReadBytes, DefaultMaxReadBytes)
	o.MaxReadMemory = max(cmp.Or(o.MaxReadMemory, DefaultMaxReadMemory), o.MaxReadBytes+1) // one file at least
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.TreeTimeout = cmp.Or(o.TreeTimeout, DefaultTreeTimeout)
	o.listedBytes = cmp.Or(o.listedBytes, MaxListedBytes)
	o.listed = cmp.Or(o.listed, MaxDirectoryEntries)
	if o.hook == nil {
		o.hook = func(string, string) {}
	}
	return o
}

// Pool runs operations. Each has a goroutine of its own, because a system call on a file may hang, as
// on a network file system whose server is gone, and cannot be interrupted. Such an operation keeps
// its place in the pool until the system call returns; its caller gets ErrTimeout. All methods may be
// called concurrently.
type Pool struct {
	o       Options
	running *semaphore.Weighted
	handles *semaphore.Weighted
	memory  *semaphore.Weighted // of ReadFile

	mu     sync.Mutex
	shares map[string]*share
	closed bool
	work   sync.WaitGroup // operations, and the closing of handles
}

// share is what a principal has of a pool.
type share struct {
	running *semaphore.Weighted
	memory  *semaphore.Weighted
	handles *semaphore.Weighted
	users   int // operations and handles
}

// principalPart is which part of the memory and of the handles of a pool a principal may have.
const principalPart = 4

// NewPool returns a pool.
func NewPool(o Options) *Pool {
	o = o.withDefaults()
	return &Pool{
		o:       o,
		running: semaphore.NewWeighted(int64(o.MaxOperations)),
		handles: semaphore.NewWeighted(int64(o.MaxHandles)),
		memory:  semaphore.NewWeighted(o.MaxReadMemory),
		shares:  make(map[string]*share),
	}
}

// Close refuses further operations, and waits until those that run have ended, or for the end of ctx:
// an operation that hangs cannot be ended. Owners have to be closed before. The error is that of ctx.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin adds a piece of work, unless the pool is closed.
func (p *Pool) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return &Error{Kind: ErrClosed}
	}
	p.work.Add(1)
	return nil
}

// use returns the share of a principal. The caller calls drop when it has ended.
func (p *Pool) use(principal string) *share {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shares[principal]
	if s == nil {
		s = &share{
			running: semaphore.NewWeighted(int64(p.o.MaxOperationsOfPrincipal)),
			memory:  semaphore.NewWeighted(max(p.o.MaxReadMemory/principalPart, p.o.MaxReadBytes+1)),
			handles: semaphore.NewWeighted(int64(max(p.o.MaxHandles/principalPart, 1))),
		}
		p.shares[principal] = s
	}
	s.users++
	return s
}

func (p *Pool) drop(principal string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.shares[principal]; s.users > 1 {
		s.users--
	} else {
		delete(p.shares, principal)
	}
}

// enter waits for a place of a principal, and then for one of the pool. The result gives them back.
func (p *Pool) enter(ctx context.Context, principal string) (leave func(), err error) {
	s := p.use(principal)
	if err := s.running.Acquire(ctx, 1); err != nil {
		p.drop(principal)
		return nil, err
	}
	if err := p.running.Acquire(ctx, 1); err != nil {
		s.running.Release(1)
		p.drop(principal)
		return nil, err
	}
	return func() {
		p.running.Release(1)
		s.running.Release(1)
		p.drop(principal)
	}, nil
}

// The states of an operation: who comes first, its end or the caller's, decides about the result.
const (
	operationRuns = iota
	operationEnded
	operationAbandoned
)

// do runs f in a goroutine of the pool, and waits until it ends, at most until limit has passed or ctx
// ends. If it does not wait, discard gets the result, unless discard is nil.
func do[T any](ctx context.Context, p *Pool, principal string, limit time.Duration, f func(ctx context.Context) (T, error), discard func(T)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &Error{Kind: ErrTimeout, Detail: "the limit is " + limit.String()})
	if err := p.begin(); err != nil {
		cancel()
		return none, err
	}
	leave, err := p.enter(ctx, principal)
	if err != nil {
		p.work.Done()
		err = ended(ctx)
		cancel()
		return none, err
	}
	var (
		state  atomic.Int32
		result T
		failed error
		done   = make(chan struct{})
	)
	go func() {
		defer p.work.Done()
		defer leave()
		defer cancel()
		value, err := f(ctx)
		result, failed = value, err
		if state.CompareAndSwap(operationRuns, operationEnded) {
			close(done)
		} else if err == nil && discard != nil {
			discard(value)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		if state.CompareAndSwap(operationRuns, operationAbandoned) {
			return none, ended(ctx)
		}
		<-done
	}
	return result, failed
}

// ended returns why an operation has ended, as an *Error.
func ended(ctx context.Context) error {
	err := context.Cause(ctx)
	if e, ok := errors.AsType[*Error](err); ok {
		located := *e
		return &located
	}
	if err != nil {
		return &Error{Kind: ErrCanceled}
	}
	return nil
}
