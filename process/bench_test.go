//go:build linux

package process

import (
	"context"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// BenchmarkTrue is the whole life of `true` against exec.Run of the same, in turns: ratio is what the
// package costs, as p50 over p50.
func BenchmarkTrue(b *testing.B) {
	buf := make([]byte, 64<<10)
	lend := func() []byte { return buf }
	var ours, raw []time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := exec.Command("true").Run(); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		p, err := Start(Spec{Argv: []string{"true"}, Env: testEnv})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range []*Pipe{p.Stdout(), p.Stderr()} {
			if _, err := r.ReadReady(lend); err != io.EOF {
				b.Fatal(err)
			}
		}
		_ = p.WaitExit()
		p.Sweep(context.Background(), 0)
		if exit, err := p.Reap(); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
		p.Close()
		raw, ours = append(raw, middle.Sub(begin)), append(ours, time.Since(middle))
	}
	b.ReportMetric(p50(raw), "exec-µs")
	b.ReportMetric(p50(ours), "ours-µs")
	b.ReportMetric(p50(ours)/p50(raw), "ratio")
}

func p50(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2]) / float64(time.Microsecond)
}

// BenchmarkRead is a pipe's throughput in reads of 64 KiB.
func BenchmarkRead(b *testing.B) {
	const size = 1 << 30
	buf := make([]byte, 64<<10)
	b.SetBytes(size)
	for b.Loop() {
		p := mustStart(b, Spec{Argv: []string{"dd", "if=/dev/zero", "bs=256K", "count=4096", "status=none"}, Env: testEnv}, host())
		total := 0
		for {
			n, err := p.Stdout().ReadReady(func() []byte { return buf })
			total += n
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if total != size {
			b.Fatal(total)
		}
	}
}
