//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// runBytes is the size of the file that `runnel run` reads.
const runBytes = 100e6

// stdin compares the rate of input with that of output, both with the Go client in a process of its
// own.
func stdin(b *bench) (r report, err error) {
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
	in, out, cpu := newSeries(len(servers)), newSeries(len(servers)), newSeries(len(servers))
	var turns []func() error
	for i, s := range servers {
		c, err := b.startClient(s.url)
		if err != nil {
			return r, err
		}
		undo.add(c.stop)
		megabytes := float64(file.size) / 1e6
		turns = append(turns, func() error {
			took, err := c.run("output " + file.path)
			out.programs[i] = append(out.programs[i], megabytes/took.Seconds())
			return err
		}, func() error {
			var took time.Duration
			_, used, err := timed(s.pid, func() (err error) {
				took, err = c.run(fmt.Sprintf("input %d", file.size))
				return err
			})
			in.programs[i] = append(in.programs[i], megabytes/took.Seconds())
			cpu.programs[i] = append(cpu.programs[i], used.Seconds()/(megabytes/1e3))
			return err
		})
	}
	if err := b.repeat(b.rounds(7, 1), turns, &in, &out, &cpu); err != nil {
		return r, err
	}
	f := figure{
		what: "stdin through write", versus: "output, Go client",
		detail: fmt.Sprintf("%s MB/s / %s MB/s", join(in.medians(), "%.0f"), join(out.medians(), "%.0f")),
		goal:   atLeast(0.7), timing: true,
	}
	for i := range servers {
		f.values = append(f.values, in.programs[i].ratios(out.programs[i]).median())
	}
	run, err := b.timeRunnelRun(servers)
	return report{figures: []figure{
		f,
		{what: "stdin, server CPU", values: cpu.medians(), unit: "s/GB"},
		{what: "runnel run -- cat with 100 MB, to a server", values: run, unit: "s", detail: "stdin and stdout are a file and /dev/null"},
	}}, err
}

// timeRunnelRun returns the median of how many seconds `runnel run` of each program takes.
func (b *bench) timeRunnelRun(servers []*server) ([]float64, error) {
	file, err := b.lines(100, runBytes)
	if err != nil {
		return nil, err
	}
	times := newSeries(len(servers))
	for range b.rounds(5, 1) {
		for i, s := range servers {
			took, err := b.runnelRun(b.programs[i], s, file)
			if err != nil {
				return nil, err
			}
			times.programs[i].add(took, time.Second)
		}
	}
	return times.medians(), nil
}

// runnelRun sends a file through `runnel run -- cat`.
func (b *bench) runnelRun(p program, s *server, file textFile) (time.Duration, error) {
	f, err := os.Open(file.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	cmd := exec.CommandContext(b.ctx, p.path, "run", "--url="+s.url, "--", "cat")
	cmd.Env, cmd.Stdin, cmd.Stderr = b.environ(), f, os.Stderr
	begin := time.Now()
	err = cmd.Run()
	return time.Since(begin), err
}
