package session

import (
	"container/list"
	"context"
	"sync"

	"github.com/runnel-rpc/runnel/session/quota"
)

// proxied bounds the connections of commands to their proxies, of all sessions together. Its methods
// may be called concurrently.
type proxied struct {
	mu      sync.Mutex
	pool    *quota.Pool
	waiting list.List // of *proxyWait, oldest first: at most one of each proxy
}

// proxyWait is a connection that waits.
type proxyWait struct {
	owner string
	given chan struct{} // closed when it has room
}

func newProxied(most int) *proxied {
	return &proxied{pool: quota.NewPool(most, quota.Shares{})}
}

// of returns the budget of the sessions of an owner.
func (p *proxied) of(owner string) *ownProxied { return &ownProxied{p, owner} }

// divide divides the room among owners.
func (p *proxied) divide(s quota.Shares) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pool.Divide(s)
	p.give()
}

// give gives room to those that wait, in their order as far as the shares of their owners permit. The
// lock is held.
func (p *proxied) give() {
	for e := p.waiting.Front(); e != nil; {
		w, next := e.Value.(*proxyWait), e.Next()
		if p.pool.Take(w.owner) == nil {
			p.waiting.Remove(e)
			close(w.given)
		}
		e = next
	}
}

// enqueue takes room, or adds a connection to those that wait.
func (p *proxied) enqueue(owner string) *list.Element {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &proxyWait{owner, make(chan struct{})}
	if p.pool.Take(owner) == nil {
		close(w.given)
		return &list.Element{Value: w}
	}
	return p.waiting.PushBack(w)
}

// ownProxied is the budget of the sessions of one owner. It is an egress.Budget.
type ownProxied struct {
	*proxied
	owner string
}

// TryTake implements egress.Budget.
func (p *ownProxied) TryTake() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pool.Take(p.owner) == nil
}

// Take implements egress.Budget.
func (p *ownProxied) Take(ctx context.Context) bool {
	e := p.enqueue(p.owner)
	w := e.Value.(*proxyWait)
	select {
	case <-w.given:
		return true
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.given: // at the same time
		return true
	default:
		p.waiting.Remove(e)
		return false
	}
}

// Release implements egress.Budget.
func (p *ownProxied) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pool.Release(p.owner)
	p.give()
}
