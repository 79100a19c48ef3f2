//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMemoryIsWithinTheBounds: the memory of a server is at most 1.5 times the sum of its bounds
// (docs/operating.md) when they are reached: by the logs of all sessions, by the requests in flight
// on a connection, and by both.
func TestMemoryIsWithinTheBounds(t *testing.T) {
	if raceDetector {
		t.Skip("SKIPPED: the race detector uses several times the memory")
	}
	const (
		mib      = 1 << 20
		logs     = 128 * mib                 // --replay-total
		inFlight = 64 * mib                  // max_in_flight_bytes
		others   = mib + 4*mib + mib + 4*mib // the stdin queue, replies, a message, output in pipes and frames
	)
	most := func(bounds int64) int64 { return bounds * 3 / 2 }
	server, ready := newTestDir(t).serve(t, "--auth=none", "--replay-bytes=8MiB", fmt.Sprintf("--replay-total=%d", logs))
	fillLogs := func(p *rawPeer) {
		for range logs / (8 * mib) * rounds(2, 3) { // all logs are filled, and replaced at least once
			p.call("execute", object{"command": "head -c 9000000 /dev/zero | tr '\\0' '\\n'", "wait": true, "capture_bytes": 0}, nil)
		}
	}
	fillRequests := func(p *rawPeer) {
		x := p.execute("exec sleep 1000", object{"stdin": "pipe"})
		data := strings.Repeat("x", 1_000_000)
		for range inFlight / (len(data) + 200) {
			if err := p.send(object{"jsonrpc": "2.0", "id": "w" + fmt.Sprint(time.Now()), "method": "write", "params": object{"session_id": x.SessionID, "data": data}}); err != nil {
				t.Fatal(err)
			}
		}
		p.call("status", object{"session_id": x.SessionID}, nil) // all requests before it were read
	}
	for _, stage := range []struct {
		what   string
		fill   func(*rawPeer)
		bounds int64
	}{
		{"requests in flight", fillRequests, inFlight + others},
		{"full logs", fillLogs, logs + others},
		{"both", fillRequests, logs + inFlight + others},
	} {
		p := dialRaw(t, ready.URL)
		peak := peakOf(server.Process.Pid, func() { stage.fill(p) })
		t.Logf("%s: %d MiB, of %d MiB", stage.what, peak/mib, most(stage.bounds)/mib)
		if peak > most(stage.bounds) {
			t.Errorf("%s: %d MiB, more than %d MiB", stage.what, peak/mib, most(stage.bounds)/mib)
		}
		p.close()
	}
}

// peakOf returns the maximum of ownMemory while f runs, measured every 5 ms.
func peakOf(pid int, f func()) int64 {
	stop, peak := make(chan struct{}), make(chan int64, 1)
	go func() {
		var most int64
		for {
			most = max(most, ownMemory(pid))
			select {
			case <-stop:
				peak <- max(most, ownMemory(pid))
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	func() {
		defer close(stop)
		f()
	}()
	return <-peak
}

// ownMemory returns RssAnon in bytes (proc_pid_status(5)).
func ownMemory(pid int) (n int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(text), "RssAnon:")
	_, _ = fmt.Sscan(after, &n)
	return n << 10
}

func TestGarbageIsBounded(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ live, most uint64 }{ // MiB
		{0, 16}, {1, 2}, {10, 20}, {20, 40}, {64, 88}, {256, 304}, {4096, 4624},
	} {
		live := c.live * mib
		if goal := live + live*uint64(gcPercent(live))/100; goal > c.most*mib {
			t.Errorf("with a live heap of %d MiB the heap grows to %d MiB", c.live, goal/mib)
		}
	}
}
