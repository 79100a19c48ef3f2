//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// startTested starts a server of the tested binary, which the caller stops.
func startTested(t *testing.T) *server {
	t.Helper()
	b, err := newBench(t.Context(), &options{server: testedBinary(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	s, err := b.start(b.programs[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEnvironment checks that a server does not inherit what configures it or its runtime.
func TestEnvironment(t *testing.T) {
	t.Setenv("GOGC", "off")
	t.Setenv("RUNNEL_GRACE", "1s")
	s := startTested(t)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.pid))
	if err != nil || !strings.Contains(string(environ), "PATH=") || strings.Contains(string(environ), "GOGC") || strings.Contains(string(environ), "RUNNEL") {
		t.Errorf("%q, %v", environ, err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestChildren measures with little data what the roles and a server do together.
func TestChildren(t *testing.T) {
	b, err := newBench(t.Context(), &options{server: testedBinary(t), quick: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	run, err := b.newThroughputRun()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if run.undo.run(&err); err != nil {
			t.Error(err)
		}
	}()
	rates, cpu, err := run.measure(8, 1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []samples{rates.limit, rates.programs[0], cpu.limit, cpu.programs[0]} {
		if len(s) != 2 || s[0] <= 0 || s[1] <= 0 {
			t.Errorf("samples %v", s)
		}
	}
	c, err := b.startClient(run.servers[0].url)
	if err != nil {
		t.Fatal(err)
	}
	file, err := b.lines(8, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"output " + file.path, "input 100000"} {
		if took, err := c.run(operation); err != nil || took <= 0 {
			t.Errorf("%s: %v, %v", operation, took, err)
		}
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, rate = 10_000_000, 50e6
		r := &throttle{r: strings.NewReader(strings.Repeat("x", size)), rate: rate}
		p := make([]byte, 256<<10)
		read := func(bytes int) {
			for bytes > 0 {
				n, err := r.Read(p)
				if n > throttleRead || err != nil {
					t.Fatalf("a read of %d bytes, %v", n, err)
				}
				bytes -= n
			}
		}
		begin := time.Now()
		read(size / 2)
		if took, want := time.Since(begin), 100*time.Millisecond-throttleLag; took < want || took > want+2*time.Millisecond {
			t.Errorf("half of it took %v", took)
		}
		time.Sleep(time.Second) // must not be caught up on
		begin = time.Now()
		read(size/2 - throttleRead)
		if took, least := time.Since(begin), 98*time.Millisecond-throttleLag; took < least {
			t.Errorf("after a pause, the other half took %v", took)
		}
	})
}

func TestProcFields(t *testing.T) {
	if n, err := privateMemory(os.Getpid()); err != nil || n < 1000 {
		t.Error(n, err)
	}
	if _, err := procFields(os.Getpid(), "status", "VmRSS", "Nothing"); err == nil {
		t.Error("a missing field is not an error")
	}
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for {
		after, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after > before {
			break
		}
	}
	open, limit, err := openFiles(os.Getpid())
	if err != nil || open < 3 || limit < open {
		t.Error(open, limit, err)
	}
}

func TestLines(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	f, err := b.lines(3, 10)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(f.path)
	if err != nil || string(content) != "xxx\nxxx\n" || f.size != 8 || f.escaped != 10 {
		t.Errorf("%q, %+v, %v", content, f, err)
	}
	if again, err := b.lines(3, 10); again != f || err != nil {
		t.Error(again, err)
	}
}

// TestHeapCounter checks that the counter counts what a server allocates.
func TestHeapCounter(t *testing.T) {
	h, err := newHeapCounter(testedBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	s := startTested(t)
	c, err := s.dial(smallBuffer)
	if err != nil {
		t.Fatal(err)
	}
	const calls, each = 200, 64 // a call allocates at least its result
	var total [2]uint64
	for i := range total {
		if total[i], err = h.read(s.pid); err != nil {
			t.Fatal(err)
		}
		for range calls {
			if err := c.call(rpc.MethodList, map[string]any{"limit": 1}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if grown := total[1] - total[0]; total[0] < 100_000 || grown < calls*each || grown > 100e6 {
		t.Errorf("%d bytes were allocated at first, and then %d", total[0], grown)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if _, err := newHeapCounter("/bin/sh"); err == nil {
		t.Error("a binary that is not of Go has a counter")
	}
}
