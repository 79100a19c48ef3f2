//go:build linux

package main

import (
	"fmt"
	"slices"
)

// lineLengths are the lengths in the table, in bytes without the newline, with their targets.
var lineLengths = []struct {
	bytes     int
	rate, cpu goal
}{
	{bytes: 100, rate: atLeast(0.97), cpu: atMost(1.15)},
	{bytes: 8, rate: atLeast(0.92)},
}

// throughput compares the output path of the server with the role limit: how fast it is, and how
// much processor time it takes.
func throughput(b *bench) (r report, err error) {
	t, err := b.newThroughputRun()
	if err != nil {
		return r, err
	}
	defer t.undo.run(&err)
	for _, l := range lineLengths {
		rates, cpu, err := t.measure(l.bytes, b.megabytes(256, 64), b.rounds(9, 3))
		if err != nil {
			return r, err
		}
		figures := lengthFigures(l.bytes, rates, cpu)
		figures[0].goal, figures[1].goal = l.rate, l.cpu
		r.figures = append(r.figures, figures[:]...)
	}
	return r, nil
}

// throughputRun has the servers and the limit that are compared.
type throughputRun struct {
	b       *bench
	servers []*server
	conns   []*conn
	limit   *limit
	undo    cleanup
}

func (b *bench) newThroughputRun() (*throughputRun, error) {
	t := &throughputRun{b: b}
	err := t.start()
	if err != nil {
		t.undo.run(&err)
	}
	return t, err
}

func (t *throughputRun) start() error {
	servers, err := t.b.startAll(&t.undo)
	if err != nil {
		return err
	}
	t.servers = servers
	for _, s := range servers {
		c, err := s.dialUntil(&t.undo, bulkBuffer)
		if err != nil {
			return err
		}
		t.conns = append(t.conns, c)
	}
	if t.limit, err = t.b.startLimit(); err == nil {
		t.undo.add(t.limit.stop)
	}
	return err
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
	if err := t.b.repeat(rounds, turns, &rates, &cpu); err != nil {
		return rates, cpu, err
	}
	return rates, cpu, nil
}

// stream executes `cat` of a file and receives its output.
func (c *conn) stream(f textFile) error { return c.streamRepeated(nil, f, 1) }

// streamRepeated executes `cat` of a file that is given some times, and receives its output. It calls
// first, if it is not nil, at the first output.
func (c *conn) streamRepeated(first func(), f textFile, times int) error {
	r, err := c.execute(first, append([]string{"cat"}, slices.Repeat([]string{f.path}, times)...)...)
	if want := f.size * int64(times); err == nil && r.Output.StdoutBytes != want {
		err = fmt.Errorf("%d bytes of output instead of %d", r.Output.StdoutBytes, want)
	}
	return err
}

// lengthFigures returns the figures of a length of lines, without targets.
func lengthFigures(length int, rates, cpu series) [2]figure {
	return [2]figure{
		{
			what:   fmt.Sprintf("%d-byte lines, throughput", length),
			versus: "pipe → escape → TCP",
			values: rates.ratios(),
			detail: fmt.Sprintf("%s MB/s / %.0f MB/s", join(rates.medians(), "%.0f"), rates.limit.median()),
			timing: true,
		},
		{
			what:   fmt.Sprintf("%d-byte lines, server CPU per GB", length),
			versus: "the same",
			values: cpu.ratios(),
			detail: fmt.Sprintf("%s s/GB / %.2f s/GB", join(cpu.medians(), "%.2f"), cpu.limit.median()),
			timing: true,
		},
	}
}
