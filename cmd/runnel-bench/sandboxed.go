//go:build linux

package main

import (
	"errors"
	"strings"
	"time"
)

// sandboxed measures `true` in a sandbox, by each mechanism that the machine has, and compares the
// throughput of lines in one with that without.
func sandboxed(b *bench) (r report, err error) {
	for _, p := range b.programs {
		if !p.hasFlags(b, "--bubblewrap") {
			return r, nil // an older program of -against
		}
	}
	files := []map[string]string{{"path": b.dir, "access": "read"}} // which may be in /tmp
	namespaces := map[string]any{"profile": "read-only", "files": files}
	for _, m := range []struct {
		name    string
		sandbox any
		flags   []string
		most    float64 // ms
	}{
		{"bubblewrap", namespaces, nil, 10},
		{"Landlock alone", map[string]any{"processes": "shared", "tmp": "shared"}, []string{"--bubblewrap=/bin/false"}, 4},
	} {
		f := figure{
			what: "execute of true in a sandbox by " + m.name + ", p50", unit: "ms", goal: atMost(m.most), timing: true,
			checked: atMost(10 * m.most), // a machine may take several times as long for each exec
		}
		if f.values, err = b.timeSandboxed(m.sandbox, m.flags...); err != nil {
			return r, err
		}
		if f.values != nil {
			r.figures = append(r.figures, f)
		}
		if f.values == nil || m.flags != nil {
			continue
		}
		rates, err := b.streamSandboxed(m.sandbox)
		if err != nil {
			return r, err
		}
		r.figures = append(r.figures, rates.figure("100-byte lines in a sandbox by "+m.name+", throughput", "MB/s", samples.median, atLeast(0.98), atLeast(0.85)))
	}
	return r, nil
}

// timeSandboxed returns the medians of the times of `true` in ms, nil if the machine cannot enforce the
// sandbox.
func (b *bench) timeSandboxed(sandbox any, flags ...string) (p50 []float64, err error) {
	var undo cleanup
	defer undo.run(&err)
	servers, err := b.startAll(&undo, flags...)
	if err != nil {
		return nil, err
	}
	times := newSeries(len(servers))
	var turns []func() error
	for i, s := range servers {
		c, err := s.dialUntil(&undo, smallBuffer)
		if err != nil {
			return nil, err
		}
		c.params = map[string]any{"sandbox": sandbox}
		if _, err := c.execute(nil, "true"); err != nil && strings.Contains(err.Error(), "not_enforceable") {
			return nil, nil
		}
		turns = append(turns, c.timeTrue(&times.programs[i], time.Millisecond))
	}
	if err := b.repeat(b.rounds(300, 50), turns, &times); err != nil {
		return nil, err
	}
	return times.quantiles(0.5), nil
}

// streamSandboxed measures the throughput of lines in a sandbox and without.
func (b *bench) streamSandboxed(sandbox any) (c comparison, err error) {
	var undo cleanup
	defer undo.run(&err)
	servers, err := b.startAll(&undo)
	if err != nil {
		return c, err
	}
	var pairs []pair
	for _, s := range servers {
		inside, insideErr := s.dialUntil(&undo, bulkBuffer)
		outside, outsideErr := s.dialUntil(&undo, bulkBuffer)
		if err := errors.Join(insideErr, outsideErr); err != nil {
			return c, err
		}
		inside.params = map[string]any{"sandbox": sandbox}
		pairs = append(pairs, pair{inside, outside})
	}
	return b.compareStreaming(pairs, b.megabytes(1024, 64))
}
