package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// BenchmarkIdleSessions measures what a sleeping session costs a server process, with ten of
// them on a connection: private memory (Private_Dirty and so on, proc_pid_smaps(5)), and
// threads.
func BenchmarkIdleSessions(b *testing.B) {
	const connections, each = 100, 10
	pid, url := startProgram(b, "--max-sessions=1000", "--max-connections=100")
	for b.Loop() {
		before := procField(b, pid, "smaps_rollup", "Rss:")
		var all []*client.Client
		for range connections {
			c, err := client.Dial(context.Background(), url, client.Options{})
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, c)
			for range each {
				p := rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"sleep", "1000"}}}
				if _, err := c.Execute(context.Background(), p, client.Events{}); err != nil {
					b.Fatal(err)
				}
			}
		}
		time.Sleep(200 * time.Millisecond)
		after := procField(b, pid, "smaps_rollup", "Rss:")
		b.ReportMetric(float64(after-before)/(connections*each), "KiB/session")
		b.ReportMetric(float64(procField(b, pid, "status", "Threads:")), "threads")
		for _, c := range all {
			_ = c.Close()
		}
	}
	b.ReportMetric(0, "ns/op")
}

// startProgram builds and starts `runnel serve` and returns its pid and address.
func startProgram(b *testing.B, flags ...string) (pid int, url string) {
	b.Helper()
	dir := b.TempDir()
	bin := filepath.Join(dir, "runnel")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/runnel").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	ready := filepath.Join(dir, "ready")
	args := []string{"serve", "--listen=127.0.0.1:0", "--socket=", "--auth=none", "--log-level=warn", "--ready-file=" + ready}
	cmd := exec.Command(bin, append(args, flags...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for range 1000 {
		if text, err := os.ReadFile(ready); err == nil {
			var line struct{ URL string }
			if err := json.Unmarshal(text, &line); err != nil {
				b.Fatal(err)
			}
			return cmd.Process.Pid, line.URL
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatal("the server did not become ready")
	return 0, ""
}

// procField reads a number from a file of /proc/PID.
func procField(b *testing.B, pid int, file, field string) int {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field); ok {
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("no %s in %s", field, file)
	return 0
}
