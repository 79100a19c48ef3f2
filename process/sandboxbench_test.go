//go:build linux

package process

import (
	"context"
	"io"
	"testing"
	"time"
)

// BenchmarkSandbox runs `true` without a sandbox, with Landlock alone and in namespaces, in turns. It
// reports the medians in ms: of the start, until the exit was reaped, and until the process was closed.
func BenchmarkSandbox(b *testing.B) {
	h, alone := openStateless(b), openStateless(b)
	needNamespaces(b, h)
	withoutNamespaces(b, alone)
	spec := Spec{Argv: []string{"true"}, Env: testEnv, Dir: "/"}
	checked, boxed, restricted := spec, spec, spec
	checked.Check = func(Opened) error { return nil }
	boxed.Sandbox, restricted.Sandbox = readOnly(), sharing()
	cases := []struct {
		name string
		host *Host
		spec Spec
		took [3][]time.Duration
	}{{name: "none", host: h, spec: spec}, {name: "opened", host: h, spec: checked}, {name: "landlock", host: alone, spec: restricted}, {name: "bwrap", host: h, spec: boxed}}
	for b.Loop() {
		for i := range cases {
			c := &cases[i]
			for n, d := range timeSpec(b, c.host, c.spec) {
				c.took[n] = append(c.took[n], d)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, c := range cases {
		for n, name := range []string{"start", "reaped", "closed"} {
			b.ReportMetric(p50(c.took[n])/1000, c.name+"-"+name+"-ms")
		}
	}
}

// openStateless opens a host that hides nothing: to hide a directory in one with many entries takes
// Landlock a rule for each.
func openStateless(b *testing.B) *Host {
	h, err := Open(Options{Containment: Marker})
	if err != nil {
		b.Skip("SKIPPED: ", err)
	}
	b.Cleanup(func() { _ = h.Close() })
	return h
}

// timeSpec runs a command and returns the times from the start to its three ends.
func timeSpec(b *testing.B, h *Host, spec Spec) (took [3]time.Duration) {
	buf := make([]byte, 64<<10)
	began := time.Now()
	p, err := h.Start(spec)
	if err != nil {
		b.Fatal(err)
	}
	took[0] = time.Since(began)
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
	took[1] = time.Since(began)
	p.Close()
	took[2] = time.Since(began)
	return took
}
