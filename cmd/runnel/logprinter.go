package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	// followInterval is the least time between two reads that follow a log, unless the first of
	// them returned at least followBytes of output: a command that writes many short lines then
	// does not cause a request for each of them.
	followInterval = 10 * time.Millisecond
	followBytes    = 64 << 10
)

// logPrinter prints the output of a session.
type logPrinter struct {
	log   logSource
	inv   *invocation
	after int64 // the position up to which all is printed
	skip  int64 // how many line ends to skip before the first byte is printed
}

// printUntil prints the output up to a position.
func (p *logPrinter) printUntil(ctx context.Context, end int64) error {
	for p.after < end {
		res, err := p.log.read(ctx, p.after, end-p.after, rpc.Seconds{Set: true})
		if err != nil {
			return err
		}
		if err := p.print(res.Events, end); err != nil || res.Done || len(res.Events) == 0 {
			return err
		}
		p.after = res.LastSeq
	}
	return nil
}

// follow prints the output until the session ends. Its reads do not make the command wait: what the
// server removes meanwhile is a gap.
func (p *logPrinter) follow(ctx context.Context) error {
	for {
		start := time.Now()
		res, err := p.log.read(ctx, p.after, 0, rpc.Seconds{})
		if err != nil {
			return err
		}
		if err := p.print(res.Events, endOfLog); err != nil || res.Done {
			return err
		}
		if res.LastSeq-p.after < followBytes {
			pause(ctx, followInterval-time.Since(start))
		}
		p.after = res.LastSeq
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// print prints the output of events up to a position, and reports gaps to stderr.
func (p *logPrinter) print(events []rpc.Event, end int64) error {
	for _, e := range events {
		out, gap, err := decodeEvent(e)
		switch {
		case err != nil:
			return err
		case gap != nil:
			p.skip = 0 // the lines to skip are gone
			if _, err := fmt.Fprintf(p.inv.stderr, "runnel: %d bytes of output are not kept\n", gap.LostBytes); err != nil {
				return err
			}
		case out != nil:
			to := io.Writer(p.inv.stdout)
			if out.stream == rpc.StreamStderr {
				to = p.inv.stderr
			}
			if data := p.trim(out, end); len(data) > 0 {
				if _, err := to.Write(data); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// trim removes the lines that are skipped, and what is after end.
func (p *logPrinter) trim(out *logOutput, end int64) []byte {
	data := out.until(end)
	for ; p.skip > 0; p.skip-- {
		_, rest, found := bytes.Cut(data, []byte("\n"))
		if !found {
			return nil
		}
		data = rest
	}
	return data
}
