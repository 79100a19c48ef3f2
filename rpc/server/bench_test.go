package server_test

import (
	"context"
	"net"
	"os"
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
	"github.com/runnel-rpc/runnel/session"
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

var containments = []process.Containment{process.Cgroup, process.Marker, process.Group}
