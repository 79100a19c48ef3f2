//go:build linux

package main

import (
	"fmt"
)

// slowRate is the rate of the slow client, in bytes per second of what the server sends.
const slowRate = 60e6

// slowClient compares the processor time of the server for a slow client with that for a fast one.
func slowClient(b *bench) (r report, err error) {
	var undo cleanup
	defer undo.run(&err)
	file, err := b.lines(100, b.megabytes(128, 32))
	if err != nil {
		return r, err
	}
	servers, err := b.startAll(&undo)
	if err != nil {
		return r, err
	}
	slow, fast := newSeries(len(servers)), newSeries(len(servers))
	var turns []func() error
	for i, s := range servers {
		c, limit, err := s.dialThrottled(0)
		if err != nil {
			return r, err
		}
		undo.add(c.Close)
		turn := func(rate float64, used *samples) func() error {
			return func() error {
				limit.rate = rate
				_, cpu, err := timed(s.pid, func() error { return c.stream(file) })
				*used = append(*used, cpu.Seconds()/(float64(file.size)/1e9))
				return err
			}
		}
		turns = append(turns, turn(0, &fast.programs[i]), turn(slowRate, &slow.programs[i]))
	}
	if err := b.repeat(b.rounds(5, 1), turns, &slow, &fast); err != nil {
		return r, err
	}
	f := figure{
		what:   "server CPU, client that reads 60 MB/s",
		versus: "fast client",
		detail: fmt.Sprintf("%s s/GB / %s s/GB", join(slow.medians(), "%.2f"), join(fast.medians(), "%.2f")),
		goal:   atMost(1.3),
		timing: true,
	}
	for i := range servers {
		f.values = append(f.values, slow.programs[i].ratios(fast.programs[i]).median())
	}
	return report{figures: []figure{f}}, nil
}
