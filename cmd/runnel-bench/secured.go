//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// secured compares servers that authenticate by a file of tokens and write an audit log with the
// same programs without both: the time of `true`, and the throughput of lines.
func secured(b *bench) (r report, err error) {
	for _, p := range b.programs {
		if !p.hasFlags(b, "--tokens", "--principals", "--audit") {
			return r, nil // an older program of -against
		}
	}
	var undo cleanup
	defer undo.run(&err)
	pairs, err := b.startPairs(&undo)
	if err != nil {
		return r, err
	}
	times, err := b.compareTrue(pairs)
	if err != nil {
		return r, err
	}
	rates, err := b.compareStreaming(pairs, b.megabytes(256, 64))
	if err != nil {
		return r, err
	}
	r.figures = []figure{
		times.figure("execute of true with authentication and audit, p50", "µs", samples.median, atMost(1.05), atMost(1.15)),
		rates.figure("100-byte lines with authentication and audit, throughput", "MB/s", samples.median, atLeast(0.95), atLeast(0.85)),
	}
	return r, nil
}

// hasFlags reports whether `serve` of the program has the flags.
func (p program) hasFlags(b *bench, flags ...string) bool {
	help, _ := exec.CommandContext(b.ctx, p.path, "serve", "--help").CombinedOutput()
	for _, f := range flags {
		if !bytes.Contains(help, []byte(f)) {
			return false
		}
	}
	return true
}

// pair has a connection whose commands are secured, by the server or a sandbox, and another one, of a
// program.
type pair struct{ secured, open *conn }

func (b *bench) startPairs(undo *cleanup) (pairs []pair, err error) {
	for _, p := range b.programs {
		token, flags, err := b.secure()
		if err != nil {
			return nil, err
		}
		secured, err := b.startSecured(undo, p, token, flags...)
		if err != nil {
			return nil, err
		}
		open, err := b.startUntil(undo, p)
		if err != nil {
			return nil, err
		}
		var c pair
		if c.secured, err = secured.dialUntil(undo, bulkBuffer); err != nil {
			return nil, err
		}
		if c.open, err = open.dialUntil(undo, bulkBuffer); err != nil {
			return nil, err
		}
		pairs = append(pairs, c)
	}
	return pairs, nil
}

// secure writes the files of a server with one principal, and returns its token and the flags.
func (b *bench) secure() (token string, flags []string, err error) {
	dir, err := os.MkdirTemp(b.dir, "secured")
	if err != nil {
		return "", nil, err
	}
	token = filepath.Base(dir)
	tokens, principals := filepath.Join(dir, "tokens"), filepath.Join(dir, "principals")
	text := fmt.Sprintf("[[token]]\nname = \"bench\"\nsha256 = \"%x\"\n", sha256.Sum256([]byte(token)))
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(principals, []byte("[[principal]]\nname = \"bench\"\n"), 0o600); err != nil {
		return "", nil, err
	}
	return token, []string{"--tokens=" + tokens, "--principals=" + principals, "--audit=" + filepath.Join(dir, "audit")}, nil
}

// comparison has the samples of a quantity, with and without what is compared, of each program.
type comparison struct{ secured, open series }

func newComparison(programs int) comparison {
	return comparison{secured: newSeries(programs), open: newSeries(programs)}
}

// figure is the ratio of the statistics of both. -check permits three times the cost that the target
// does.
func (c comparison) figure(what, unit string, statistic func(samples) float64, target, checked goal) figure {
	f := figure{what: what, versus: "without", timing: true, goal: target, checked: checked}
	var secured, open []float64
	for i := range c.secured.programs {
		secured = append(secured, statistic(c.secured.programs[i]))
		open = append(open, statistic(c.open.programs[i]))
		f.values = append(f.values, secured[i]/open[i])
	}
	f.detail = fmt.Sprintf("%s %s / %s %s", join(secured, "%.0f"), unit, join(open, "%.0f"), unit)
	return f
}

// compareTrue measures times in µs.
func (b *bench) compareTrue(pairs []pair) (comparison, error) {
	times := newComparison(len(pairs))
	var turns []func() error
	for i, p := range pairs {
		turns = append(turns, p.secured.timeTrue(&times.secured.programs[i], time.Microsecond), p.open.timeTrue(&times.open.programs[i], time.Microsecond))
	}
	return times, b.repeat(b.rounds(1500, 300), turns, &times.secured, &times.open)
}

// compareStreaming measures rates in MB/s from the first output on, with a file of a size in bytes.
func (b *bench) compareStreaming(pairs []pair, size int) (comparison, error) {
	rates := newComparison(len(pairs))
	file, err := b.lines(100, size)
	if err != nil {
		return rates, err
	}
	var turns []func() error
	turn := func(c *conn, to *samples) func() error {
		return func() error {
			var begin time.Time
			err := c.streamRepeated(func() { begin = time.Now() }, file, 1)
			*to = append(*to, float64(file.size)/1e6/time.Since(begin).Seconds())
			return err
		}
	}
	for i, p := range pairs {
		turns = append(turns, turn(p.secured, &rates.secured.programs[i]), turn(p.open, &rates.open.programs[i]))
	}
	return rates, b.repeat(b.rounds(15, 9), turns, &rates.secured, &rates.open)
}
