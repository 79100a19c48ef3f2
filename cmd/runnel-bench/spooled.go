//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// spooled compares servers that keep output and records on the disk with the same programs without a
// spool: the time of `true` and of a line through a session, the throughput of lines for a client that
// reads them and without a reader, and the processor time for them. Without a reader it compares the
// throughput with the role disk, too.
func spooled(b *bench) (r report, err error) {
	for _, p := range b.programs {
		if !p.hasFlags(b, "--spool-dir") {
			return r, nil // an older program of -against
		}
	}
	n := len(b.programs)
	s := spoolRun{b: b, times: newComparison(n), echo: newComparison(n), read: newStreams(n), unread: newStreams(n)}
	defer s.undo.run(&err)
	if err := s.start(); err != nil {
		return r, err
	}
	if err := s.measureTimes(); err != nil {
		return r, err
	}
	if err := s.measureStreams(); err != nil {
		return r, err
	}
	median := samples.median
	r.figures = []figure{
		s.times.figure("execute of true with a spool, p50", "µs", median, atMost(1.08), atMost(1.24)),
		s.echo.figure("line through a session with a spool, p50", "µs", median, goal{}, goal{}),
		s.read.rates.figure("100-byte lines with a spool, throughput", "MB/s", median, atLeast(0.8), atLeast(0.4)),
		s.read.cpu.figure("100-byte lines with a spool, server CPU per GB", "ms/GB", median, goal{}, goal{}),
		s.unread.rates.figure("100-byte lines with a spool and no reader, throughput", "MB/s", median, atLeast(0.8), atLeast(0.2)),
		s.diskFigure(),
		s.unread.cpu.figure("100-byte lines with a spool and no reader, server CPU per GB", "ms/GB", median, goal{}, goal{}),
	}
	return r, nil
}

// spoolRun has the servers that are compared, and what is measured.
type spoolRun struct {
	b            *bench
	undo         cleanup
	servers      []spoolServer
	times, echo  comparison // in µs
	read, unread streams
	disk         *limit
}

// diskFigure compares the throughput without a reader with the role disk.
func (s *spoolRun) diskFigure() figure {
	rates := &s.unread.rates.secured
	return figure{
		what:   "100-byte lines with a spool and no reader, throughput",
		versus: "pipe → direct writes",
		values: rates.ratios(),
		detail: fmt.Sprintf("%s MB/s / %.0f MB/s", join(rates.medians(), "%.0f"), rates.limit.median()),
		goal:   atLeast(0.8),
		timing: true,
	}
}

// spoolServer is a server of a program, with a connection.
type spoolServer struct {
	*server
	*conn
	program int
	spool   bool
}

// streams has the rates in MB/s and the processor times in ms/GB of output.
type streams struct{ rates, cpu comparison }

func newStreams(programs int) streams {
	return streams{newComparison(programs), newComparison(programs)}
}

// of returns the samples of a server.
func (c *comparison) of(s spoolServer) *samples {
	if s.spool {
		return &c.secured.programs[s.program]
	}
	return &c.open.programs[s.program]
}

func (s *spoolRun) start() error {
	for i, p := range s.b.programs {
		for _, spool := range []bool{true, false} {
			var flags []string
			if !spool {
				flags = []string{"--spool-dir="}
			}
			server, err := s.b.startUntil(&s.undo, p, flags...)
			if err != nil {
				return err
			}
			c, err := server.dialUntil(&s.undo, bulkBuffer)
			if err != nil {
				return err
			}
			s.servers = append(s.servers, spoolServer{server, c, i, spool})
		}
	}
	disk, err := s.b.startDiskLimit(s.servers[0].dir)
	if err != nil {
		return err
	}
	s.disk = disk
	s.undo.add(disk.stop)
	return nil
}

// measureTimes measures short commands, and lines through a session that runs.
func (s *spoolRun) measureTimes() error {
	var commands, lines []func() error
	for _, server := range s.servers {
		commands = append(commands, server.timeTrue(s.times.of(server), time.Microsecond))
	}
	if err := s.b.repeat(s.b.rounds(1500, 300), commands, &s.times.secured, &s.times.open); err != nil {
		return err
	}
	for _, server := range s.servers {
		c, err := server.dialUntil(&s.undo, smallBuffer)
		if err != nil {
			return err
		}
		if err := c.call(rpc.MethodExecute, map[string]any{"command": []string{"cat"}, "stdin": rpc.StdinPipe}, nil); err != nil {
			return err
		}
		lines = append(lines, c.timeLine(s.echo.of(server)))
	}
	return s.b.repeat(s.b.rounds(1500, 300), lines, &s.echo.secured, &s.echo.open)
}

// measureStreams measures streams of lines.
func (s *spoolRun) measureStreams() error {
	file, err := s.b.lines(100, s.b.megabytes(256, 64))
	if err != nil {
		return err
	}
	var turns []func() error
	for _, server := range s.servers {
		turn := func(to *streams, stream bool) func() error {
			rate, cpu := to.rates.of(server), to.cpu.of(server)
			return func() error { return server.timeStream(file, stream, rate, cpu) }
		}
		turns = append(turns, turn(&s.read, true), turn(&s.unread, false))
	}
	turns = append(turns, func() error { return s.timeDisk(file) })
	return s.b.repeat(s.b.rounds(15, 5), turns,
		&s.read.rates.secured, &s.read.rates.open, &s.read.cpu.secured, &s.read.cpu.open,
		&s.unread.rates.secured, &s.unread.rates.open, &s.unread.cpu.secured, &s.unread.cpu.open)
}

// timeDisk adds the rate in MB/s at which the role disk stores the output of `cat` of a file.
func (s *spoolRun) timeDisk(file textFile) error {
	took, _, err := timed(s.disk.cmd.Process.Pid, func() error { return s.disk.store(file) })
	rates := &s.unread.rates.secured.limit
	*rates = append(*rates, float64(file.size)/1e6/took.Seconds())
	return err
}
