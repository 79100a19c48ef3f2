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

// TestTakersAtOnce: of all that attach at once, and some that take, at least one stays, who is not told to be evicted;
// nobody is taken from twice.
func TestTakersAtOnce(t *testing.T) {
	s := run(t, "read x", func(spec *Spec) { spec.Program.Stdin = true })
	const hands = 6
	for range 500 {
		var all [hands]*Attachment
		var evicted [hands]atomic.Int32
		begin := make(chan struct{})
		var work sync.WaitGroup
		for i := range hands {
			work.Go(func() {
				<-begin
				a := s.Attach(AttachOptions{
					Cursor:  stream.CursorOptions{Block: true, Ready: func() {}},
					Evicted: func() { evicted[i].Add(1) },
				})
				if i%2 == 0 {
					a.Take()
				}
				all[i] = a
			})
		}
		close(begin)
		work.Wait()
		stayed := 0
		for i, a := range all {
			n := evicted[i].Load()
			if n > 1 {
				t.Fatalf("evicted %d times", n)
			}
			if n == 0 {
				stayed++
			}
			a.Detach()
		}
		if stayed == 0 {
			t.Fatal("nobody is attached")
		}
	}
	s.Write(nil, nil, true)
	ended(t, s)
}

// TestAFailedStartEvicts: who attached to a session that then does not start has nothing of it.
func TestAFailedStartEvicts(t *testing.T) {
	r := registry(t, Options{})
	spec := sh("a", "")
	spec.Program.Argv = []string{"/nonexistent"}
	s := reserve(t, r, spec)
	evicted := 0
	s.Attach(AttachOptions{Cursor: stream.CursorOptions{Ready: func() {}}, Evicted: func() { evicted++ }})
	var told *process.SpawnError
	if err := s.Start(); !errors.As(err, &told) || !errors.Is(s.View().Failure, told) {
		t.Errorf("%v, %v", err, s.View().Failure)
	}
	if evicted != 1 {
		t.Errorf("evicted %d times", evicted)
	}
}
