package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// maxConcurrent is the most sessions that a verb acts on at the same time.
const maxConcurrent = 256

// eachSession is what a verb does with each of several sessions. A failure does not keep it from
// the others.
type eachSession struct {
	options   client.Options
	failure   int    // the exit status of errors that have none
	asDone    bool   // print in the order in which the results come, not in that of the arguments
	separator string // between the texts
	// do returns the text to print for a session. It is called concurrently.
	do func(ctx context.Context, conn *client.Client, id string) (string, error)
}

// each does it with the sessions that the arguments name, and prints the texts to stdout and, if
// there are several arguments, the errors to stderr. The exit status is that of the first argument
// that failed.
func (t *target) each(inv *invocation, args []string, e eachSession) error {
	conn, err := t.connect(inv.ctx, e.options)
	if err != nil {
		return &statusError{e.failure, err}
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(inv.ctx)
	defer cancel()
	p := printedResults{inv: inv, args: args, each: &e, results: make([]*sessionResult, len(args)), failed: len(args)}
	for r := range e.start(ctx, conn, args) {
		if p.writeErr == nil {
			p.add(r)
		}
		if p.writeErr != nil { // the rest is received, but not done
			cancel()
		}
	}
	return p.error()
}

// sessionResult is the result of one argument.
type sessionResult struct {
	index int // of the argument
	text  string
	err   error
}

// start begins to act on the sessions. The channel is closed after the last result; all goroutines
// have ended then. It has room for all, so that nothing waits for its receiver.
func (e *eachSession) start(ctx context.Context, conn *client.Client, args []string) <-chan *sessionResult {
	results := make(chan *sessionResult, len(args))
	indices := make(chan int, len(args))
	for i := range args {
		indices <- i
	}
	close(indices)
	workers := min(len(args), maxConcurrent)
	if most := conn.Connected().Limits.MaxInFlight; most > 0 {
		workers = min(workers, most)
	}
	sessions := newResolver(ctx, conn)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := range indices {
				r := &sessionResult{index: i}
				id, err := sessions.resolve(args[i])
				if err == nil {
					r.text, err = e.do(ctx, conn, id)
				}
				r.err = err
				results <- r
			}
		})
	}
	go func() {
		running.Wait()
		close(results)
	}()
	return results
}

// printedResults prints results in their order.
type printedResults struct {
	inv      *invocation
	args     []string
	each     *eachSession
	results  []*sessionResult // those that wait for one before them
	next     int              // the argument whose result is printed next
	texts    int              // how many were printed
	failed   int              // the first argument that failed; the number of arguments if none did
	err      error            // of that argument
	writeErr error            // of stdout
}

func (p *printedResults) add(r *sessionResult) {
	if p.each.asDone {
		p.print(r)
		return
	}
	p.results[r.index] = r
	for ; p.next < len(p.results) && p.results[p.next] != nil; p.next++ {
		p.print(p.results[p.next])
		p.results[p.next] = nil // its text may be large
	}
}

func (p *printedResults) print(r *sessionResult) {
	if r.text != "" && p.writeErr == nil {
		separator := p.each.separator
		if p.texts == 0 {
			separator = ""
		}
		p.texts++
		_, p.writeErr = fmt.Fprintf(p.inv.stdout, "%s%s\n", separator, r.text)
	}
	if r.err == nil {
		return
	}
	if text := r.err.Error(); text != "" && len(p.args) > 1 {
		fmt.Fprintf(p.inv.stderr, "runnel: %s: %s\n", p.args[r.index], text)
	}
	if r.index < p.failed {
		p.failed, p.err = r.index, r.err
	}
}

// error returns the error of the first argument that failed, without its text if that was printed.
func (p *printedResults) error() error {
	switch {
	case brokenPipe(p.writeErr):
		return p.writeErr
	case p.writeErr != nil:
		return &statusError{p.each.failure, p.writeErr}
	case p.err == nil:
		return nil
	}
	failed := &statusError{p.each.failure, p.err}
	if s, ok := errors.AsType[*statusError](p.err); ok {
		failed.status = s.status
	}
	if len(p.args) > 1 {
		failed.err = nil
	}
	return failed
}
