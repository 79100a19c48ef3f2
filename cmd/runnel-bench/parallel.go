//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

const (
	parallelClients = 8
	parallelEach    = 50 // executions of each client in a round
)

// parallel compares how many commands eight clients execute with eight goroutines of this process
// that execute them without a server.
func parallel(b *bench) (r report, err error) {
	var undo cleanup
	defer undo.run(&err)
	servers, err := b.startAll(&undo)
	if err != nil {
		return r, err
	}
	rates := newSeries(len(servers))
	turns := []func() error{func() error {
		return rateOf(&rates.limit, func(int) error { return exec.Command("true").Run() })
	}}
	for i, s := range servers {
		var conns [parallelClients]*conn
		for n := range conns {
			if conns[n], err = s.dialUntil(&undo, smallBuffer); err != nil {
				return r, err
			}
		}
		turns = append(turns, func() error {
			return rateOf(&rates.programs[i], func(client int) error {
				_, err := conns[client].execute(nil, "true")
				return err
			})
		})
	}
	if err := b.repeat(b.rounds(15, 3), turns, &rates); err != nil {
		return r, err
	}
	return report{figures: []figure{{
		what:   "executions of true per second, 8 clients",
		versus: "exec.Cmd.Run in 8 goroutines",
		values: rates.ratios(),
		detail: fmt.Sprintf("%s / %.0f", join(rates.medians(), "%.0f"), rates.limit.median()),
		goal:   atLeast(0.75),
		timing: true,
	}}}, nil
}

// rateOf adds how often per second all clients together call f, each parallelEach times.
func rateOf(rates *samples, f func(client int) error) error {
	var wg sync.WaitGroup
	var errs [parallelClients]error
	begin := time.Now()
	for client := range parallelClients {
		wg.Go(func() {
			for range parallelEach {
				if errs[client] = f(client); errs[client] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	*rates = append(*rates, parallelClients*parallelEach/time.Since(begin).Seconds())
	return errors.Join(errs[:]...)
}
