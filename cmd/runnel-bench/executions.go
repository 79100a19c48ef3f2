//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"time"
)

var containments = []string{"cgroup", "marker", "group"}

// startTrue compares the time from the request of `true` to its completion record with that of
// exec.Cmd.Run in this process, under each containment that the machine has.
func startTrue(b *bench) (report, error) {
	var r report
	for _, containment := range containments {
		times, err := b.timeTrue(containment, b.rounds(1500, 200))
		var exited *exec.ExitError
		if errors.As(err, &exited) && containment != "group" { // the server has printed why it is unavailable
			continue
		}
		if err != nil {
			return r, err
		}
		p50 := times.limit.quantile(0.5)
		f := figure{
			what:   "execute of true, p50, " + containment,
			versus: "exec.Cmd.Run",
			values: divided(times.quantiles(0.5), p50),
			detail: fmt.Sprintf("%s µs / %.0f µs", join(times.quantiles(0.5), "%.0f"), p50),
			timing: true,
		}
		if len(r.figures) == 0 { // the strongest one, which is the default
			f.goal = atMost(1.2)
		}
		r.figures = append(r.figures, f)
	}
	return r, nil
}

// timeTrue returns times in µs.
func (b *bench) timeTrue(containment string, rounds int) (times series, err error) {
	var undo cleanup
	defer undo.run(&err)
	times = newSeries(len(b.programs))
	servers, err := b.startAll(&undo, "--containment="+containment)
	if err != nil {
		return times, err
	}
	turns := []func() error{timeRun(&times.limit)}
	for i, s := range servers {
		c, err := s.dialUntil(&undo, smallBuffer)
		if err != nil {
			return times, err
		}
		turns = append(turns, c.timeTrue(&times.programs[i], time.Microsecond))
	}
	if err := b.repeat(rounds, turns, &times); err != nil {
		return times, err
	}
	return times, nil
}

// timeTrue returns a function that executes true and adds the time in a unit.
func (c *conn) timeTrue(times *samples, unit time.Duration) func() error {
	return func() error {
		begin := time.Now()
		_, err := c.execute(nil, "true")
		times.add(time.Since(begin), unit)
		return err
	}
}

// timeRun returns a function that runs true without the server.
func timeRun(times *samples) func() error {
	return func() error {
		begin := time.Now()
		err := exec.Command("true").Run()
		times.add(time.Since(begin), time.Microsecond)
		return err
	}
}
