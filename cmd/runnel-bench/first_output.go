//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// firstOutput compares the time from a request to the first output of its command with the time
// from exec.Cmd.Start to the first byte of a pipe.
func firstOutput(b *bench) (r report, err error) {
	var undo cleanup
	defer undo.run(&err)
	servers, err := b.startAll(&undo)
	if err != nil {
		return r, err
	}
	times := newSeries(len(servers))
	turns := []func() error{func() error { return firstByte(&times.limit) }}
	for i, s := range servers {
		c, err := s.dialUntil(&undo, smallBuffer)
		if err != nil {
			return r, err
		}
		turns = append(turns, func() error {
			begin := time.Now()
			first := func() { times.programs[i].add(time.Since(begin), time.Microsecond) }
			_, err := c.execute(first, "echo")
			return err
		})
	}
	if err := b.repeat(b.rounds(1000, 200), turns, &times); err != nil {
		return r, err
	}
	p50 := times.limit.quantile(0.5)
	f := figure{
		what:   "first output byte of echo, p50, minus exec with a pipe",
		unit:   "µs",
		detail: fmt.Sprintf("%s µs - %.0f µs", join(times.quantiles(0.5), "%.0f"), p50),
		goal:   atMost(150),
		timing: true,
		// Where an exec takes several times as long, so does what else the server asks of the kernel.
		checked: atMost(max(450, p50/4)),
	}
	for _, v := range times.quantiles(0.5) {
		f.values = append(f.values, v-p50)
	}
	return report{figures: []figure{f}}, nil
}

// firstByte adds the time that the first byte of echo takes without a server.
func firstByte(times *samples) error {
	cmd := exec.Command("echo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = out.Read(make([]byte, 8))
	times.add(time.Since(begin), time.Microsecond)
	return errors.Join(err, cmd.Wait())
}
