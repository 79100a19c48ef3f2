//go:build linux

package server_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// hundred is a tree of 100 processes and their shell, all of which end on SIGTERM.
const hundred = `i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait`

// BenchmarkEndOfATree measures how long a cancel of a hundred processes takes under each
// containment, and for comparison how long the kernel takes by cgroup.kill.
func BenchmarkEndOfATree(b *testing.B) {
	group := rawGroup(b)
	var raw []time.Duration
	for range max(b.N, 100) { // this process is not their subreaper and would not reap them
		raw = append(raw, killHundred(b, group))
	}
	for _, kind := range containments {
		b.Run(string(kind), func(b *testing.B) {
			url := benchServerHeld(b, 100, 100, kind)
			if url == "" {
				b.Skipf("containment %s is unavailable", kind)
			}
			c := benchDial(b, url)
			var took []time.Duration
			for b.Loop() {
				took = append(took, cancelHundred(b, c))
			}
			b.ReportMetric(p99(raw), "kernel-p99-ms")
			b.ReportMetric(p99(took)-p99(raw), "beyond-p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func p99(all []time.Duration) float64 {
	slices.Sort(all)
	return all[len(all)*99/100].Seconds() * 1000
}

func cancelHundred(b *testing.B, c *client.Client) time.Duration {
	b.Helper()
	ready := make(chan struct{}, 1)
	s, err := c.Execute(context.Background(), rpc.ExecuteParams{Command: rpc.Command{Shell: hundred}}, client.Events{
		Output: func(*client.Output) { ready <- struct{}{} },
	})
	if err != nil {
		b.Fatal(err)
	}
	<-ready
	begin := time.Now()
	var r rpc.CancelResult
	if err := c.Call(context.Background(), rpc.MethodCancel, rpc.CancelParams{SessionID: s.ID()}, &r); err != nil || r.Escalated {
		b.Fatal(r, err)
	}
	return time.Since(begin)
}

// rawGroup makes a control group without the product.
func rawGroup(b *testing.B) string {
	b.Helper()
	text, _ := os.ReadFile("/proc/self/cgroup")
	_, path, _ := strings.Cut(string(text), "0::")
	path, _, _ = strings.Cut(path, "\n")
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		dir := filepath.Join(mount, path, "runnel-bench")
		if os.Mkdir(dir, 0o755) == nil {
			b.Cleanup(func() { _ = os.Remove(dir) })
			return dir
		}
	}
	b.Skip("cannot create a cgroup")
	return ""
}

func killHundred(b *testing.B, dir string) time.Duration {
	b.Helper()
	group := filepath.Join(dir, "one") // a new one: no process can be cloned into a group that was killed
	if err := os.Mkdir(group, 0o755); err != nil {
		b.Fatal(err)
	}
	defer os.Remove(group)
	f, err := os.Open(group)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", hundred)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 10))
	begin := time.Now()
	if err := os.WriteFile(group+"/cgroup.kill", []byte("1"), 0); err != nil {
		b.Fatal(err)
	}
	for {
		events, _ := os.ReadFile(group + "/cgroup.events")
		if bytes.Contains(events, []byte("populated 0")) {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	took := time.Since(begin)
	_ = cmd.Wait()
	return took
}
