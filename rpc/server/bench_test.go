package server_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// benchServer serves on loopback TCP with the defaults of the program and returns its address.
func benchServer(b *testing.B, sessions, connections int) string {
	b.Helper()
	return benchServerHeld(b, sessions, connections, process.Auto)
}

// benchServerHeld is benchServer with a containment. It returns "" if that is not available.
func benchServerHeld(b *testing.B, sessions, connections int, kind process.Containment) string {
	b.Helper()
	host, err := process.Open(process.Options{Containment: kind})
	if err != nil {
		b.Log(err)
		return ""
	}
	b.Cleanup(func() { _ = host.Close() })
	registry := session.NewRegistry(session.Options{
		MaxSessions: sessions, MaxRetained: 10, Retain: time.Minute, ReplayBytes: 1 << 20, Host: host, Log: zerolog.Nop(),
	})
	srv := server.New(registry, server.Options{
		Defaults:       server.Defaults{Shell: "/bin/sh", Grace: 2 * time.Second, Environ: os.Environ()},
		MaxConnections: connections, MaxUnauthenticated: connections, MaxInFlight: 1024, MaxMessageBytes: 1 << 20,
		PingInterval: 20 * time.Second, WriteTimeout: 30 * time.Second, Log: zerolog.Nop(),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	b.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		registry.Shutdown(now)
		srv.Shutdown()
		<-served
	})
	return "ws://" + l.Addr().String() + "/ws"
}

func benchDial(b *testing.B, url string) *client.Client {
	b.Helper()
	c, err := client.Dial(context.Background(), url, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// linesFile writes a file of lines of n bytes each, without their newlines.
func linesFile(b *testing.B, n int, size int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "lines")
	line := strings.Repeat("x", n) + "\n"
	if err := os.WriteFile(path, []byte(strings.Repeat(line, size/len(line))), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkStream compares the output path of the whole product with a limit: the same process,
// pipe, read size and escaper, and a loopback TCP connection, without WebSocket, JSON-RPC or
// log.
func BenchmarkStream(b *testing.B) {
	for _, n := range []int{100, 8} {
		b.Run(fmt.Sprintf("lines=%d", n), func(b *testing.B) {
			const size = 128 << 20
			path := linesFile(b, n, size)
			c := benchDial(b, benchServer(b, 100, 100))
			var product, limit []float64
			for b.Loop() {
				limit = append(limit, rate(size, func() { streamLimit(b, path) }))
				product = append(product, rate(size, func() { streamProduct(b, c, path) }))
			}
			b.ReportMetric(median(product), "product-MB/s")
			b.ReportMetric(median(limit), "limit-MB/s")
			b.ReportMetric(median(product)/median(limit), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func rate(bytes int, f func()) float64 {
	begin := time.Now()
	f()
	return float64(bytes) / 1e6 / time.Since(begin).Seconds()
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

func streamProduct(b *testing.B, c *client.Client, path string) {
	var got int64
	s, err := c.Execute(context.Background(), rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"cat", path}}},
		client.Events{Output: func(o *client.Output) { got += int64(len(o.Data)) }})
	if err != nil {
		b.Fatal(err)
	}
	rec, err := s.Wait(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	if got != rec.Output.StdoutBytes || got == 0 {
		b.Fatalf("received %d bytes of %d", got, rec.Output.StdoutBytes)
	}
}

// streamLimit measures the limit: one goroutine reads, escapes and writes, another reads and
// unescapes.
func streamLimit(b *testing.B, path string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 128<<10)
		out := make([]byte, 0, 256<<10)
		for {
			n, err := c.Read(buf[:len(buf)-1])
			if err != nil {
				return
			}
			buf[n] = '"'
			out, _, _ = wire.UnescapeText(out[:0], buf[:n+1]) // an escape cut by the read is decoded wrong: the cost is the same
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	p, err := (*process.Host)(nil).Start(process.Spec{Argv: []string{"cat", path}, Env: os.Environ()})
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, stream.ReadSize)
	frame := make([]byte, 0, 8*stream.ReadSize)
	for {
		n, err := p.Stdout().ReadReady(func() []byte { return buf })
		if n > 0 {
			frame = wire.AppendText(frame[:0], buf[:n])
			if _, err := conn.Write(frame); err != nil {
				b.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	_ = p.WaitExit()
	_, _ = p.Reap()
	p.Close()
	_ = conn.Close()
	<-done
}

// BenchmarkTrue compares a request for `true` and its completion record with
// exec.Command("true").Run(), under each containment, alternately.
func BenchmarkTrue(b *testing.B) {
	clients := make(map[process.Containment]*client.Client)
	for _, kind := range containments {
		if url := benchServerHeld(b, 100, 100, kind); url != "" {
			clients[kind] = benchDial(b, url)
		}
	}
	took := make(map[process.Containment][]float64)
	for b.Loop() {
		begin := time.Now()
		if err := exec.Command("true").Run(); err != nil {
			b.Fatal(err)
		}
		took[""] = append(took[""], float64(time.Since(begin).Microseconds()))
		for kind, c := range clients {
			begin := time.Now()
			s, err := c.Execute(context.Background(), rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"true"}}}, client.Events{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Wait(context.Background()); err != nil {
				b.Fatal(err)
			}
			took[kind] = append(took[kind], float64(time.Since(begin).Microseconds()))
		}
	}
	b.ReportMetric(median(took[""]), "exec.Run-p50-µs")
	for kind := range clients {
		b.ReportMetric(median(took[kind])/median(took[""]), string(kind)+"/exec.Run")
		b.ReportMetric(median(took[kind])/median(took[process.Group]), string(kind)+"/group")
	}
	b.ReportMetric(0, "ns/op")
}

var containments = []process.Containment{process.Cgroup, process.Marker, process.Group}

// BenchmarkControlUnderFlood measures the reply to a control on a connection whose session
// writes faster than the client, which reads 90 MB/s.
func BenchmarkControlUnderFlood(b *testing.B) {
	url := benchServer(b, 100, 100)
	c := benchDial(b, url)
	begin, taken := time.Now(), 0
	s, err := c.Execute(context.Background(), rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"yes", strings.Repeat("x", 99)}}},
		client.Events{Output: func(o *client.Output) {
			taken += len(o.Data)
			ahead := time.Duration(float64(taken)/90e6*1e9) - time.Since(begin)
			if ahead > 0 {
				time.Sleep(ahead)
			} else if ahead < -time.Second {
				begin, taken = time.Now(), 0
			}
		}})
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // until every buffer on the way is full
	var took []float64
	for b.Loop() {
		begin := time.Now()
		if err := c.Call(context.Background(), rpc.MethodStatus, rpc.SessionParams{SessionID: s.ID()}, nil); err != nil {
			b.Fatal(err)
		}
		took = append(took, float64(time.Since(begin).Microseconds())/1000)
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "p50-ms")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
	b.ReportMetric(0, "ns/op")
	if err := s.Control(context.Background(), rpc.ControlCancel); err != nil {
		b.Fatal(err)
	}
}
