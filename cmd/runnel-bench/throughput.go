//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// lineLengths are the lengths in the table, in bytes without the newline, with their targets.
var lineLengths = []struct {
	bytes int
	goal  goal
}{{100, atLeast(0.97)}, {8, atLeast(0.92)}}

// goalCPU is the target of the processor time for lines of 100 bytes.
var goalCPU = atMost(1.15)

// throughput compares the output path of the server with the role limit: how fast it is, and how
// much processor time it takes.
func throughput(b *bench) (r report, err error) {
	t, err := b.newThroughputRun()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	for _, l := range lineLengths {
		rates, cpu, err := t.measure(l.bytes, b.megabytes(256, 64), b.rounds(9, 3))
		if err != nil {
			return r, err
		}
		r.figures = append(r.figures, t.figures(l.bytes, l.goal, rates, cpu)...)
	}
	return r, nil
}

// throughputRun has the servers and the limit that are compared.
type throughputRun struct {
	b       *bench
	servers []*server
	conns   []*conn
	limit   *limit
	stops   []func() error
}

func (b *bench) newThroughputRun() (t *throughputRun, err error) {
	t = &throughputRun{b: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	servers, stop, err := b.startAll()
	if err != nil {
		return t, err
	}
	t.servers, t.stops = servers, append(t.stops, stop)
	for _, s := range servers {
		c, err := s.dial(bulkBuffer)
		if err != nil {
			return t, err
		}
		t.conns, t.stops = append(t.conns, c), append(t.stops, c.Close)
	}
	if t.limit, err = b.startLimit(); err != nil {
		return t, err
	}
	t.stops = append(t.stops, t.limit.stop)
	return t, nil
}

func (t *throughputRun) stop() error {
	var errs []error
	for i := len(t.stops) - 1; i >= 0; i-- {
		errs = append(errs, t.stops[i]())
	}
	return errors.Join(errs...)
}

// measure streams a file of lines in turns, and returns the rates in MB/s and the processor times
// in seconds per GB of output.
func (t *throughputRun) measure(length, size, rounds int) (rates, cpu series, err error) {
	file, err := t.b.lines(length, size)
	if err != nil {
		return rates, cpu, err
	}
	rates, cpu = newSeries(len(t.conns)), newSeries(len(t.conns))
	turn := func(pid int, rate, seconds *samples, f func() error) func() error {
		return func() error {
			took, used, err := timed(pid, f)
			*rate = append(*rate, float64(file.size)/1e6/took.Seconds())
			*seconds = append(*seconds, used.Seconds()/(float64(file.size)/1e9))
			return err
		}
	}
	turns := []func() error{
		turn(t.limit.cmd.Process.Pid, &rates.limit, &cpu.limit, func() error { return t.limit.stream(file) }),
	}
	for i, c := range t.conns {
		turns = append(turns, turn(t.servers[i].pid, &rates.programs[i], &cpu.programs[i], func() error { return c.stream(file) }))
	}
	for range rounds {
		if err := t.b.ctx.Err(); err != nil {
			return rates, cpu, err
		}
		if err := inTurns(turns...); err != nil {
			return rates, cpu, err
		}
	}
	return rates, cpu, nil
}

// timed returns how long f takes, and the processor time that a process uses meanwhile.
func timed(pid int, f func() error) (took, used time.Duration, err error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	took = time.Since(begin)
	after, err := cpuTime(pid)
	return took, after - before, err
}

// stream executes `cat` of a file and receives its output.
func (c *conn) stream(f textFile) error {
	r, err := c.execute(nil, "cat", f.path)
	if err == nil && r.Output.StdoutBytes != f.size {
		err = fmt.Errorf("%d bytes of output instead of %d", r.Output.StdoutBytes, f.size)
	}
	return err
}

func (t *throughputRun) figures(length int, g goal, rates, cpu series) []figure {
	cpuGoal := goal{}
	if length == 100 {
		cpuGoal = goalCPU
	}
	return []figure{
		{
			what:   fmt.Sprintf("%d-byte lines, throughput", length),
			versus: "pipe → escape → TCP",
			values: rates.ratios(),
			detail: fmt.Sprintf("%s MB/s / %.0f MB/s", join(rates.medians(), "%.0f"), rates.limit.median()),
			goal:   g,
			timing: true,
		},
		{
			what:   fmt.Sprintf("%d-byte lines, server CPU per GB", length),
			versus: "the same",
			values: cpu.ratios(),
			detail: fmt.Sprintf("%s s/GB / %.2f s/GB", join(cpu.medians(), "%.2f"), cpu.limit.median()),
			goal:   cpuGoal,
			timing: true,
		},
	}
}
