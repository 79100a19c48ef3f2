//go:build linux

package process

import (
	"context"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// BenchmarkTrue runs `true` under each containment and by exec.Command, in turns. It reports the
// medians divided by that of exec.Command and by that of Group.
func BenchmarkTrue(b *testing.B) {
	hosts := map[Containment]*Host{Group: nil}
	for _, kind := range []Containment{Cgroup, Marker} {
		if h, err := Open(Options{Containment: kind}); err == nil {
			hosts[kind] = h
			defer h.Close()
		}
	}
	took := make(map[Containment][]time.Duration)
	var raw []time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := exec.Command("true").Run(); err != nil {
			b.Fatal(err)
		}
		raw = append(raw, time.Since(begin))
		for kind, h := range hosts {
			begin := time.Now()
			runTrue(b, h)
			took[kind] = append(took[kind], time.Since(begin))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(p50(raw), "exec-µs")
	for kind := range hosts {
		b.ReportMetric(p50(took[kind])/p50(raw), string(kind)+"/exec")
		b.ReportMetric(p50(took[kind])/p50(took[Group]), string(kind)+"/group")
	}
}

func runTrue(b *testing.B, h *Host) {
	buf := make([]byte, 64<<10)
	p, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv})
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range []*Pipe{p.Stdout(), p.Stderr()} {
		if _, err := readReady(r, func() []byte { return buf }); err != io.EOF {
			b.Fatal(err)
		}
	}
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	if exit, err := p.Reap(); err != nil || exit.Code != 0 {
		b.Fatal(exit, err)
	}
	p.Close()
}

func p50(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2]) / float64(time.Microsecond)
}

// BenchmarkRead measures the throughput of a pipe in reads of 64 KiB.
func BenchmarkRead(b *testing.B) {
	const size = 1 << 30
	buf := make([]byte, 64<<10)
	b.SetBytes(size)
	for b.Loop() {
		p := mustStart(b, Spec{Argv: []string{"dd", "if=/dev/zero", "bs=256K", "count=4096", "status=none"}, Env: testEnv}, leader.System())
		total := 0
		for {
			n, err := readReady(p.Stdout(), func() []byte { return buf })
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
