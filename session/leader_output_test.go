//go:build linux

package session

import (
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// TestOutputIsAheadOfTheExitOfTheLeader checks that what a command has written is in the log ahead of the
// note that it has exited, while a descendant has its pipes open, and although a client that does not read
// has left some of it in the pipe.
func TestOutputIsAheadOfTheExitOfTheLeader(t *testing.T) {
	const size = 60_000
	for range 3 {
		spec := sh("session", "head -c 60000 /dev/zero; sleep 60 &")
		spec.WaitForTree, spec.Output.Raw = true, true
		s := reserve(t, registry(t, Options{ReplayBytes: 1000}), spec)
		ready := make(chan struct{}, 1)
		c := s.Cursor(stream.CursorOptions{Block: true, Ready: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		}})
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		awaitZombie(t, s.View().PID)
		poll(100*time.Millisecond, func() bool { return s.View().LeaderExit != nil }) // a note that is too early
		written, seen := 0, false
		for !seen {
			it, ok := c.Next()
			if !ok {
				<-ready
				continue
			}
			if _, seen = it.Event.(*LeaderExit); !seen {
				written += len(it.Data)
			}
		}
		c.Close()
		select {
		case <-s.OutputEnded():
			t.Error("the output has ended while a descendant can write")
		default:
		}
		if written != size {
			t.Errorf("%d bytes ahead of the exit, want %d", written, size)
		}
		s.End(Canceled, nil)
		<-s.OutputEnded()
		<-s.Done()
	}
}
