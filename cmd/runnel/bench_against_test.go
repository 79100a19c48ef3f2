//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// BenchmarkAgainst compares two binaries, RUNNEL_BENCH_OLD and RUNNEL_BENCH_NEW: each is a server
// in its own process, and they execute true alternately. It reports the medians in µs, and the
// ratio of new to old.
func BenchmarkAgainst(b *testing.B) {
	binaries := [2]string{os.Getenv("RUNNEL_BENCH_OLD"), os.Getenv("RUNNEL_BENCH_NEW")}
	if binaries[0] == "" || binaries[1] == "" {
		b.Skip("SKIPPED: RUNNEL_BENCH_OLD and RUNNEL_BENCH_NEW are not set")
	}
	for _, containment := range []string{"cgroup", "marker", "group"} {
		b.Run(containment, func(b *testing.B) {
			var clients [2]*client.Client
			for i, path := range binaries {
				clients[i] = benchServer(b, path, containment)
			}
			var took [2][]time.Duration
			for b.Loop() {
				for i, c := range clients {
					begin := time.Now()
					p := rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"true"}}, Wait: true}
					if err := c.Call(b.Context(), rpc.MethodExecute, p, nil); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(begin))
				}
			}
			var p50 [2]float64
			for i := range took {
				slices.Sort(took[i])
				p50[i] = float64(took[i][len(took[i])/2].Nanoseconds()) / 1000
			}
			b.ReportMetric(p50[0], "old-µs")
			b.ReportMetric(p50[1], "new-µs")
			b.ReportMetric(p50[1]/p50[0], "new/old")
		})
	}
}

// benchServer starts a server and connects to it.
func benchServer(b *testing.B, path, containment string) *client.Client {
	dir := b.TempDir()
	socket, ready := filepath.Join(dir, "sock"), filepath.Join(dir, "ready")
	server := exec.Command(path, "serve", "--listen=", "--socket="+socket, "--state-dir="+dir, "--ready-file="+ready, "--containment="+containment)
	server.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	if !poll(func() bool { _, err := os.Stat(ready); return err == nil }) {
		b.Fatal(path + " does not start")
	}
	return dialSocket(b, socket)
}
