//go:build linux

package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
	"github.com/runnel-rpc/runnel/stream"
)

// TestConcurrentUse calls all methods of a few sessions concurrently, and checks that the events of
// each session are in an order that is possible.
func TestConcurrentUse(t *testing.T) {
	const sessions, workers, calls = 6, 300, 30
	r := registry(t, Options{MaxSessions: sessions, ReplayBytes: 16 << 10})
	var all []*Session
	var followers []*follower
	var watching sync.WaitGroup
	for i := range sessions {
		spec := sh(fmt.Sprint(i), "cat & while :; do echo output; echo error >&2; sleep 0.001; done")
		spec.Program.Stdin, spec.Timeout, spec.StreamTimeout = true, time.Minute, time.Minute
		s := reserve(t, r, spec)
		f := follow(t, s, stream.CursorOptions{EventsOnly: true}) // keeps the session alive until it is canceled
		all, followers = append(all, s), append(followers, f)
		go s.Start()
		watching.Go(func() {
			for last := false; !last; {
				it, ok := f.Next()
				if !ok {
					<-f.ready
					continue
				}
				f.items = append(f.items, it)
				_, last = it.Event.(*Record)
			}
		})
	}
	var work sync.WaitGroup
	for worker := range workers {
		work.Go(func() {
			for call := range calls {
				s := all[rand.IntN(len(all))]
				var err error
				switch rand.IntN(9) {
				case 0:
					err = s.Pause()
				case 1, 2:
					err = s.Resume()
				case 3:
					_, err = s.Signal(syscall.SIGWINCH) // ignored by default
				case 4:
					w := s.Write(make([]byte, rand.IntN(10_000)), nil, nil, false)
					if !s.Withdraw(w) {
						<-w.Done
					}
				case 5, 6:
					a := s.Attach(AttachOptions{Cursor: stream.CursorOptions{Block: rand.IntN(2) == 0, After: rand.Int64N(100_000)}})
					for range rand.IntN(20) {
						a.Next()
					}
					a.Disconnect()
				case 7:
					_, _ = r.Find("me", s.ID())
					r.List("me")
					s.View()
					s.Capture(t.Context(), 100, 100)
				case 8:
					var other *Session
					if other, _, err = r.Reserve(sh(fmt.Sprint(worker, call), "exit")); err == nil {
						err = other.Start()
					} else if errors.As(err, new(*quota.LimitError)) {
						err = nil
					}
				}
				if call == calls/2 && worker < sessions {
					grace := 100 * time.Millisecond
					<-all[worker].Ready() // else the start may be canceled
					all[worker].End(Canceled, &grace)
				}
				if err != nil && !errors.As(err, new(*StateError)) && !errors.Is(err, os.ErrProcessDone) {
					t.Error(err)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { work.Wait(); watching.Wait(); close(over) }()
	within(t, "the calls", over)
	for i, f := range followers {
		ended(t, all[i])
		state := ""
		for n, it := range f.items {
			last := state
			switch e := it.Event.(type) {
			case Change:
				state = e.Status
			case *Record:
				state = "completed"
			default:
				t.Fatalf("session %d: %+v", i, it)
			}
			ok := map[string]bool{
				"started":   n == 0,
				"paused":    last == "started" || last == "resumed",
				"resumed":   last == "paused",
				"canceled":  n > 0,
				"completed": last == "canceled" && n == len(f.items)-1,
			}
			if !ok[state] {
				t.Errorf("session %d: %s after %q; %+v", i, state, last, all[i].Record())
			}
		}
	}
}
