package server

import (
	"context"
	"sync"
)

// maxPaints is how many screens the server computes at the same time, one of them for each principal.
const maxPaints = 2

// painters limits how many screens are computed at the same time. The requests of a principal wait for each
// other, and of each principal at most one waits for the limit of the server, in the order of arrival.
type painters struct {
	running chan struct{} // has a token for each screen

	mu     sync.Mutex
	owners map[string]*painter
}

// painter is what the requests of one principal share. It exists while there are some.
type painter struct {
	requests int
	running  chan struct{} // has a token while a screen is computed
}

func newPainters() *painters {
	return &painters{running: make(chan struct{}, maxPaints), owners: make(map[string]*painter)}
}

// enter waits until a screen may be computed for a principal. Then the caller calls leave; otherwise the error
// is the cause of ctx.
func (p *painters) enter(ctx context.Context, principal string) (leave func(), err error) {
	own := p.join(principal)
	if err := put(ctx, own.running); err != nil {
		p.part(principal, own)
		return nil, err
	}
	if err := put(ctx, p.running); err != nil {
		<-own.running
		p.part(principal, own)
		return nil, err
	}
	return func() {
		<-p.running
		<-own.running
		p.part(principal, own)
	}, nil
}

func put(ctx context.Context, tokens chan<- struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *painters) join(principal string) *painter {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.owners[principal]
	if own == nil {
		own = &painter{running: make(chan struct{}, 1)}
		p.owners[principal] = own
	}
	own.requests++
	return own
}

func (p *painters) part(principal string, own *painter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own.requests--; own.requests == 0 {
		delete(p.owners, principal)
	}
}
