//go:build linux

package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// TestConcurrentTake checks that at least one attachment remains of several that call Take
// concurrently, and that OnDetached is called at most once for each.
func TestConcurrentTake(t *testing.T) {
	s := run(t, "read x", func(spec *Spec) { spec.Program.Stdin = true })
	const workers = 6
	for range 500 {
		var all [workers]*Attachment
		var detached [workers]atomic.Int32
		begin := make(chan struct{})
		var work sync.WaitGroup
		for i := range workers {
			work.Go(func() {
				<-begin
				a := s.Attach(AttachOptions{
					Cursor:     stream.CursorOptions{Block: true, Ready: func() {}},
					OnDetached: func() { detached[i].Add(1) },
				})
				if i%2 == 0 {
					a.Take()
				}
				all[i] = a
			})
		}
		close(begin)
		work.Wait()
		remaining := 0
		for i, a := range all {
			n := detached[i].Load()
			if n > 1 {
				t.Fatalf("detached %d times", n)
			}
			if n == 0 {
				remaining++
			}
			a.Detach()
		}
		if remaining == 0 {
			t.Fatal("no attachment remains")
		}
	}
	s.Write(nil, nil, nil, true)
	ended(t, s)
}

// TestAFailedStartDetaches checks that a failed start detaches all attachments.
func TestAFailedStartDetaches(t *testing.T) {
	r := registry(t, Options{})
	spec := sh("a", "")
	spec.Program.Argv = []string{"/nonexistent"}
	s := reserve(t, r, spec)
	var detached atomic.Int32
	s.Attach(AttachOptions{Cursor: stream.CursorOptions{Ready: func() {}}, OnDetached: func() { detached.Add(1) }})
	var spawn *process.SpawnError
	if err := s.Start(); !errors.As(err, &spawn) || !errors.Is(s.View().Failure, spawn) {
		t.Errorf("%v, %v", err, s.View().Failure)
	}
	// OnDetached may be called after Start has returned.
	if !poll(patience, func() bool { return detached.Load() == 1 }) {
		t.Errorf("detached %d times", detached.Load())
	}
}
