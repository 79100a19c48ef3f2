//go:build linux

package main

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// latencies executes true so many times and returns the median and the 99th percentile.
func latencies(t *testing.T, c *client.Client, times int) (median, p99 time.Duration) {
	t.Helper()
	var all []time.Duration
	for range times {
		began := time.Now()
		s, err := c.Execute(t.Context(), argv("true"), client.Events{})
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := s.Wait(t.Context()); err != nil || rec.Status != rpc.StatusCompleted {
			t.Fatal(rec, err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// TestStormBeforeAuthentication: while clients without a credential do what they can, a connected
// client executes commands, and others connect, over TCP and the Unix socket. The server takes a
// bounded amount of memory. Latencies are only logged.
func TestStormBeforeAuthentication(t *testing.T) {
	p := newTestDir(t)
	server, ready := p.serve(t)
	token, err := readToken(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	options := client.Options{Token: token}
	for _, name := range []string{"wrong tokens", "slow headers", "a lot of data", "no HTTP", "no end of a header"} {
		t.Run(name, func(t *testing.T) { p.withstand(t, name, server, ready.URL, options) })
	}
}

// TestStalledHandshakes: the same with clients that begin a TLS handshake and do not go on.
func TestStalledHandshakes(t *testing.T) {
	p := newTestDir(t)
	server, ready, options := p.serveTLS(t)
	p.withstand(t, "stalled handshakes", server, ready.URL, options)
}

// withstand executes commands during a storm.
func (p *testDir) withstand(t *testing.T, name string, server *program, url string, o client.Options) {
	// The server may have 16 MiB of garbage (docs/operating.md), and 128 connections, each with less
	// than 64 KiB: 12 KiB of a header, which the reader of net/http copies to one line, buffers of 8 KiB
	// and of TLS, and a stack of 8 KiB.
	const budget = 16<<20 + 128<<16
	dial := func() (*client.Client, error) {
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		return client.Dial(ctx, url, o)
	}
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	times := rounds(40, 300)
	latencies(t, c, times/6)
	quietMedian, quietP99 := latencies(t, c, times)
	before := ownMemory(server.Process.Pid)
	x := p.start(t, "runnel-storm", name, hostOf(url))
	x.expectLine("begun")
	var median, p99 time.Duration
	var failed int
	peak := peakOf(server.Process.Pid, func() {
		median, p99 = latencies(t, c, times)
		failed = connectRepeatedly(t, dial)
	})
	run := p.runnel(t, "run", "echo", "hello") // over the Unix socket
	run.expectLine("hello")
	run.expectExit(0)
	x.signalUntilExit(syscall.SIGKILL)
	t.Logf("execute of true: median %v, p99 %v; without the storm %v, %v: a factor of %.1f; %d new connections failed; %d KiB more memory",
		median, p99, quietMedian, quietP99, float64(p99)/float64(quietP99), failed, (peak-before)>>10)
	if peak > before+budget && !raceDetector {
		t.Errorf("memory grew from %d to %d KiB", before>>10, peak>>10)
	}
}

// connectRepeatedly makes 20 connections over TCP and executes a command on each. One that the
// server closes to make room for others is made again, ten times at most.
func connectRepeatedly(t *testing.T, dial func() (*client.Client, error)) (failed int) {
	for range 20 {
		var c *client.Client
		var err error
		for range 10 {
			if c, err = dial(); err == nil {
				break
			}
			failed++
		}
		if err != nil {
			t.Errorf("no connection in 10 attempts: %v", err)
			return failed
		}
		latencies(t, c, 1)
		_ = c.Close()
	}
	return failed
}
