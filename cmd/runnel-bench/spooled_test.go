//go:build linux

package main

import (
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestSpooled takes a sample of each kind, with a spool and without, and one of the limit.
func TestSpooled(t *testing.T) {
	b, err := newBench(t.Context(), &options{server: testedBinary(t), quick: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	s := spoolRun{b: b}
	defer func() {
		if s.undo.run(&err); err != nil {
			t.Error(err)
		}
	}()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	file, err := b.lines(100, 3<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.timeDisk(file); err != nil || len(s.unread.rates.secured.limit) != 1 {
		t.Fatal(s.unread.rates.secured.limit, err)
	}
	for _, server := range s.servers {
		var rates, cpu, times samples
		for _, stream := range []bool{true, false} {
			if err := server.timeStream(file, stream, &rates, &cpu); err != nil {
				t.Fatal(server.spool, stream, err)
			}
		}
		if err := server.call(rpc.MethodExecute, map[string]any{"command": []string{"cat"}, "stdin": rpc.StdinPipe}, nil); err != nil {
			t.Fatal(err)
		}
		if err := server.timeLine(&times)(); err != nil {
			t.Fatal(err)
		}
		if len(rates) != 2 || len(cpu) != 2 || len(times) != 1 {
			t.Error(rates, cpu, times)
		}
	}
}
