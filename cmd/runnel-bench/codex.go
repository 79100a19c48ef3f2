//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// codex compares the route /codex with /ws of the same server: the time of `true`, and the throughput of
// lines in base64, without cutting the output at their ends. With the command line of Codex it also
// compares the time of `true` with that of its own server.
func codex(b *bench) (r report, err error) {
	for _, p := range b.programs {
		if !p.hasFlags(b, "--no-codex") {
			return r, nil // an older program of -against
		}
	}
	var undo cleanup
	defer undo.run(&err)
	servers, err := b.startAll(&undo)
	if err != nil {
		return r, err
	}
	times, lines, err := b.compareCodex(servers)
	if err != nil {
		return r, err
	}
	r.figures = []figure{
		times.figure("true through /codex, p50", "µs", samples.median, atMost(1.3), atMost(1.9)),
		lines.rates.figure("100-byte lines through /codex, throughput", "MB/s", samples.median, atLeast(0.8), atLeast(0.4)),
		lines.cpu.figure("100-byte lines through /codex, server CPU per GB", "ms/GB", samples.median, goal{}, goal{}),
	}
	for i, versus := range []string{"/ws", "/ws in base64", "the same"} {
		r.figures[i].versus = versus
	}
	if b.codex != "" {
		f, err := b.compareCodexServer(servers)
		if err != nil {
			return r, err
		}
		r.figures = append(r.figures, f)
	}
	return r, nil
}

// compareCodex measures times in µs and streams of lines, with /codex and with /ws.
func (b *bench) compareCodex(servers []*server) (times comparison, lines streams, err error) {
	var undo cleanup
	defer undo.run(&err)
	times, lines = newComparison(len(servers)), newStreams(len(servers))
	file, err := b.lines(100, b.rounds(200e6, 64e6))
	if err != nil {
		return times, lines, err
	}
	var commands, turns []func() error
	for i, s := range servers {
		own, err := s.dialUntil(&undo, bulkBuffer)
		if err != nil {
			return times, lines, err
		}
		own.params = map[string]any{"encoding": rpc.EncodingBase64, "mode": rpc.ModeRaw}
		other, err := dialCodex(&undo, s.address, "/codex", bulkBuffer, direct)
		if err != nil {
			return times, lines, err
		}
		commands = append(commands, other.timeTrue(&times.secured.programs[i]), own.timeTrue(&times.open.programs[i], time.Microsecond))
		rates, cpu := lines.rates, lines.cpu
		turns = append(turns,
			s.timeLines(file, &rates.secured.programs[i], &cpu.secured.programs[i], other.stream),
			s.timeLines(file, &rates.open.programs[i], &cpu.open.programs[i], own.stream))
	}
	err = b.repeat(b.rounds(1500, 300), commands, &times.secured, &times.open)
	if err == nil {
		err = b.repeat(b.rounds(15, 5), turns, &lines.rates.secured, &lines.rates.open, &lines.cpu.secured, &lines.cpu.open)
	}
	return times, lines, err
}

// direct is the reader of a connection that is not changed.
func direct(c net.Conn) io.Reader { return c }

// timeTrue returns a function that executes true and adds the time in µs.
func (c *codexConn) timeTrue(times *samples) func() error {
	return func() error {
		begin := time.Now()
		_, err := c.execute("true")
		times.add(time.Since(begin), time.Microsecond)
		return err
	}
}

// stream executes `cat` of a file and receives its output.
func (c *codexConn) stream(f textFile) error {
	n, err := c.execute("cat", f.path)
	if err == nil && n != f.size {
		err = fmt.Errorf("%d bytes of output instead of %d", n, f.size)
	}
	return err
}

// timeLines returns a function that receives a file by f, and adds the rate in MB/s and the processor time of
// the server in ms/GB.
func (s *server) timeLines(file textFile, rate, cpu *samples, f func(textFile) error) func() error {
	return func() error {
		took, used, err := timed(s.pid, func() error { return f(file) })
		*rate = append(*rate, float64(file.size)/1e6/took.Seconds())
		*cpu = append(*cpu, used.Seconds()*1e3/(float64(file.size)/1e9))
		return err
	}
}
