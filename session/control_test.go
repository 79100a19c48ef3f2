//go:build linux

package session

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/stream"
)

// TestASlowSignalBlocksNothingElse checks that while signals are sent to a tree, which may take
// long, the session can be viewed, attached to and ended, and other sessions start, end and are
// removed.
func TestASlowSignalBlocksNothingElse(t *testing.T) {
	r := registry(t, Options{MaxRetained: 1})
	s := start(t, r, sh("signaled", "echo ready; sleep 60"))
	f := follow(t, s, stream.CursorOptions{EventsOnly: true})
	begun, over, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		result <- s.control(func(_ tree, state State) error {
			close(begun)
			<-over
			return s.moveFrom(state, Paused, func(*sessionStatus) { t.Error("paused after its end has begun") })
		})
	}()
	within(t, "the signal", begun)
	end := make(chan struct{})
	others := make(chan struct{})
	go func() {
		defer close(others)
		if v := s.View(); v.State != Running {
			t.Errorf("the state is %v", v.State)
		}
		if n := len(r.List("me")); n != 1 {
			t.Errorf("%d sessions are listed", n)
		}
		s.Attach(AttachOptions{}).Detach()
		s.Hold()()
		for i := range 3 { // each but the last one is removed
			ended(t, start(t, r, sh(fmt.Sprint(i), "echo x")))
		}
		go func() { s.End(Canceled, nil); close(end) }()
		if !poll(patience, func() bool { return s.View().State == Ending }) {
			t.Error("the end does not begin")
		}
	}()
	within(t, "the other calls", others)
	close(over)
	within(t, "the signal of the end", end)
	var state *StateError
	if err := <-result; !errors.As(err, &state) || state.State != Ending {
		t.Errorf("a pause during the end: %v", err)
	}
	if rec := ended(t, s); rec.Cause != Canceled || rec.Escalated {
		t.Errorf("%+v", rec)
	}
	if d := cmp.Diff([]string{"started", "canceled", "completed"}, f.whole()); d != "" {
		t.Error(d)
	}
}

// TestOutputFollowsTheResume checks that output after a resume follows its event. Each line is the
// time at which it was written.
func TestOutputFollowsTheResume(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("SKIPPED: bash, which prints the time in microseconds, is not installed:", err)
	}
	s := run(t, `exec bash -c 'while :; do echo $EPOCHREALTIME; done'`, nil)
	f := follow(t, s, stream.CursorOptions{Block: true})
	f.line(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // holding the session's lock gives the tree time to write
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.update(func(*sessionStatus) { time.Sleep(time.Millisecond) })
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 50 {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		begin := float64(time.Now().UnixMicro()) / 1e6
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		f.items = nil
		resumed := false
		f.until("output after the resume", func() bool {
			if len(f.items) == 0 {
				return false
			}
			last := f.items[len(f.items)-1]
			c, ok := last.Event.(Change)
			resumed = resumed || ok && c.Status == "resumed"
			return resumed && len(last.Data) > 0
		})
		for _, it := range f.items {
			if c, ok := it.Event.(Change); ok && c.Status == "resumed" {
				break
			}
			for line := range strings.Lines(string(it.Data)) {
				if at, _ := strconv.ParseFloat(strings.TrimSpace(line), 64); at > begin {
					t.Fatalf("%s was written %.0f µs after the resume, and precedes it in the log", strings.TrimSpace(line), (at-begin)*1e6)
				}
			}
		}
	}
}
