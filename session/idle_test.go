//go:build linux

package session

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// TestIdleSessionHasNoGoroutine starts sessions that are silent after what they have written: a
// line, a part of one, a part of a character, or nothing.
func TestIdleSessionHasNoGoroutine(t *testing.T) {
	r := registry(t, Options{MaxSessions: 100})
	before := runtime.NumGoroutine()
	var all []*Session
	for i, script := range []string{"", "echo a;", "printf a;", `printf 'a\303';`} {
		for _, terminal := range []*process.Terminal{nil, {Rows: 24, Cols: 80}} {
			spec := sh(fmt.Sprint(i, terminal != nil), script+" exec sleep 60")
			spec.Program.Terminal = terminal
			s := start(t, r, spec)
			written := func() bool {
				oldest, end := s.log.Bounds()
				return end > oldest+1 // the event started, and output
			}
			if script != "" && !poll(patience, written) {
				t.Fatalf("no output of %q", script)
			}
			all = append(all, s)
		}
	}
	if !poll(patience, func() bool { return runtime.NumGoroutine() <= before }) {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines more for %d sessions\n%s",
			runtime.NumGoroutine()-before, len(all), stacks[:runtime.Stack(stacks, true)])
	}
	for _, s := range all {
		s.End(Canceled, new(time.Duration))
		ended(t, s)
	}
}

// TestOutputAfterSilence has sessions that wait and write in turns.
func TestOutputAfterSilence(t *testing.T) {
	r := registry(t, Options{MaxSessions: 100, ReplayBytes: 1 << 20})
	const n = 30
	var want strings.Builder
	for i := range n {
		fmt.Fprintln(&want, i)
	}
	var all []*Session
	for i := range 10 {
		script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo $i; echo $i >&2; sleep 0.00%d; i=$((i+1)); done", n, i)
		all = append(all, start(t, r, sh(fmt.Sprint(i), script)))
	}
	for _, s := range all {
		ended(t, s)
		for _, kind := range []stream.Kind{stream.Stdout, stream.Stderr} {
			if got, _ := s.log.Tail(kind, 1<<20); string(got) != want.String() {
				t.Errorf("output of kind %v: %q", kind, got)
			}
		}
	}
}
