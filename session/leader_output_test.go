//go:build linux

package session

import (
	"testing"

	"github.com/runnel-rpc/runnel/stream"
)

// TestOutputIsAheadOfTheExitOfTheLeader checks that what a command has written is in the log ahead of the
// note that it has exited, while a descendant has its pipes open.
func TestOutputIsAheadOfTheExitOfTheLeader(t *testing.T) {
	const size = 300_000
	for range 20 {
		s := run(t, "head -c 300000 /dev/zero; sleep 60 &", func(s *Spec) { s.WaitForTree, s.Output.Raw = true, true })
		ready := make(chan struct{}, 1)
		c := s.Cursor(stream.CursorOptions{Block: true, Ready: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		}})
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
