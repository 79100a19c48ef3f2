package session

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/stream"
)

// fakeTree is a process tree in a synctest bubble: a command, and descendants that have its pipes
// open. It records what is done to it, as text, with the seconds since its start.
type fakeTree struct {
	tree        // panics if a method is called that is not implemented below
	begin       time.Time
	descendants bool
	ignoresTERM bool // the command and its descendants do
	ignoresKILL bool // the command is in an uninterruptible sleep
	readers     *readers

	mu     sync.Mutex
	record []string

	exit                      chan struct{} // closed when the command has exited
	descendantsExited         chan struct{} // closed when the descendants have exited
	exitOnce, descendantsOnce sync.Once
}

// fakeSession returns a session that runs a fake tree. change, if not nil, changes the spec and the
// tree.
func fakeSession(t *testing.T, r *Registry, id string, change func(*Spec, *fakeTree)) (*Session, *fakeTree) {
	t.Helper()
	f := &fakeTree{
		begin:             time.Now(),
		exit:              make(chan struct{}),
		descendantsExited: make(chan struct{}),
		readers:           &readers{done: make(chan struct{})},
	}
	spec := Spec{ID: id, Owner: "me", Grace: 2 * time.Second}
	if change != nil {
		change(&spec, f)
	}
	if !f.descendants {
		f.endDescendants()
	}
	s, _, err := r.Reserve(spec)
	if err != nil {
		t.Fatal(err)
	}
	s.update(func(st *sessionStatus) {
		st.start.called, st.start.begun, st.start.cancel = true, time.Now(), func(error) {}
	})
	s.accept()
	s.startDeadlines(func() bool { return false })
	s.setRunning(f, time.Now())
	close(s.ready)
	r.wg.Go(func() { // as Session.supervise does
		<-f.exit
		go func() { <-f.descendantsExited; close(f.readers.done) }() // the readers get the end of the pipes
		s.afterExit(f, f.readers, nil)
	})
	return s, f
}

func (f *fakeTree) log(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record = append(f.record, fmt.Sprintf("%gs %s", time.Since(f.begin).Seconds(), what))
}

func (f *fakeTree) end() { f.exitOnce.Do(func() { close(f.exit) }) }

func (f *fakeTree) endDescendants() { f.descendantsOnce.Do(func() { close(f.descendantsExited) }) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (f *fakeTree) PID() int                                { return 1234 }
func (f *fakeTree) Sandbox() *sandbox.Report                { return nil }
func (f *fakeTree) PGID() int                               { return 1234 }
func (f *fakeTree) Containment() process.Containment        { return process.Group }
func (f *fakeTree) EnforcedLimits() []process.EnforcedLimit { return nil }
func (f *fakeTree) Exited() bool                            { return isClosed(f.exit) }
func (f *fakeTree) Alive() (bool, error)                    { return !f.Exited() || !isClosed(f.descendantsExited), nil }
func (f *fakeTree) Pause() error                            { f.log("pause"); return nil }
func (f *fakeTree) Resume() error                           { f.log("resume"); return nil }
func (f *fakeTree) Close()                                  {}

func (f *fakeTree) ExitStatus() (int, syscall.Signal, bool) { return 0, 0, true }
func (f *fakeTree) Reap() (process.Exit, error)             { return process.Exit{Known: true}, nil }

func (f *fakeTree) TerminateBy(sig syscall.Signal) error {
	f.log(sig.String())
	if !f.ignoresTERM {
		f.end()
		f.endDescendants()
	}
	return nil
}

func (f *fakeTree) Kill() error {
	f.log("kill")
	if !f.ignoresKILL {
		f.end()
		f.endDescendants()
	}
	return nil
}

func (f *fakeTree) Abandon() {
	f.log("abandon")
	f.end()
	f.endDescendants()
}

func (f *fakeTree) AwaitTree(ctx context.Context) {
	select {
	case <-f.descendantsExited:
	case <-ctx.Done():
	}
}

func (f *fakeTree) Sweep(ctx context.Context, grace time.Duration) (r process.SweepResult) {
	if isClosed(f.descendantsExited) {
		return r
	}
	f.log("sweep")
	select {
	case <-f.descendantsExited:
	case <-ctx.Done():
		r.Escalated = true
	case <-time.After(grace):
		r.Escalated = true
	}
	f.endDescendants()
	return r
}

const seconds = time.Second

// pass lets n seconds pass.
func pass(n float64) { time.Sleep(time.Duration(n * float64(time.Second))) }

// fakeCase is a session in fake time, from its start to its record.
type fakeCase struct {
	change    func(*Spec, *fakeTree)
	do        func(s *Session, f *fakeTree)
	cause     Cause
	ended     float64 // seconds after the start
	escalated bool
	record    string // what was done to the tree
}

func (c *fakeCase) run(t *testing.T) {
	r := NewRegistry(Options{})
	s, f := fakeSession(t, r, "id", c.change)
	if c.do != nil {
		c.do(s, f)
	}
	<-s.Done()
	if got := time.Since(f.begin).Seconds(); got != c.ended {
		t.Errorf("ended after %g s, want %g", got, c.ended)
	}
	if rec := s.Record(); rec.Cause != c.cause || rec.Escalated != c.escalated {
		t.Errorf("got %+v, want cause %v, escalated %v", rec, c.cause, c.escalated)
	}
	if d := cmp.Diff(c.record, strings.Join(f.record, ", ")); d != "" {
		t.Error(d)
	}
	r.Shutdown(context.Background())
}

func testInFakeTime(t *testing.T, cases map[string]fakeCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { synctest.Test(t, c.run) })
	}
}

// The changes of specs and trees that the cases below use. All spans are 10 seconds.

func withTimeout(o *Spec, _ *fakeTree)       { o.Timeout = 10 * seconds }
func withStreamTimeout(o *Spec, _ *fakeTree) { o.StreamTimeout = 10 * seconds }
func withLinger(o *Spec, _ *fakeTree)        { o.Linger = 10 * seconds }
func ignoringTERM(o *Spec, f *fakeTree)      { o.Grace, f.ignoresTERM = 10*seconds, true }
func withDescendants(o *Spec, f *fakeTree)   { ignoringTERM(o, f); f.descendants = true }
func waitingForTheTree(o *Spec, f *fakeTree) { o.WaitForTree, f.descendants = true, true }

func both(first, second func(*Spec, *fakeTree)) func(*Spec, *fakeTree) {
	return func(o *Spec, f *fakeTree) { first(o, f); second(o, f) }
}

func pausedFor100s(s *Session, _ *fakeTree) {
	pass(4)
	_ = s.Pause()
	pass(100)
	_ = s.Resume()
}

func TestTimeoutInFakeTime(t *testing.T) {
	testInFakeTime(t, map[string]fakeCase{
		"running": {withTimeout, nil, TimedOut, 10, false, "10s terminated"},
		"paused":  {withTimeout, pausedFor100s, TimedOut, 110, false, "4s pause, 104s resume, 110s terminated"},
		"with output and a blocked log": {withTimeout, func(s *Session, _ *fakeTree) {
			pass(4)
			s.streamTimeout.Touch()
			s.blocked.set(true)
		}, TimedOut, 10, false, "10s terminated"},
		"while descendants run": {both(withTimeout, waitingForTheTree), func(_ *Session, f *fakeTree) {
			pass(4)
			f.end()
		}, TimedOut, 10, false, "10s terminated"},
		"after another cause": {both(withTimeout, ignoringTERM), func(s *Session, _ *fakeTree) {
			pass(9)
			s.End(Canceled, nil)
		}, Canceled, 19, true, "9s terminated, 19s kill"},
	})
}

func TestStreamTimeoutInFakeTime(t *testing.T) {
	testInFakeTime(t, map[string]fakeCase{
		"silent": {withStreamTimeout, nil, StreamTimedOut, 10, false, "10s terminated"},
		"paused": {withStreamTimeout, pausedFor100s, StreamTimedOut, 110, false, "4s pause, 104s resume, 110s terminated"},
		"with output": {withStreamTimeout, func(s *Session, _ *fakeTree) {
			pass(4)
			s.streamTimeout.Touch()
		}, StreamTimedOut, 14, false, "14s terminated"},
		"with input": {withStreamTimeout, func(s *Session, _ *fakeTree) {
			r, w, _ := os.Pipe()
			defer r.Close()
			s.stdin.open(w, nil, s.streamTimeout.Touch)
			for range 10 {
				pass(9)
				<-s.Write([]byte("x"), nil, nil, false).Done
				synctest.Wait()
			}
		}, StreamTimedOut, 100, false, "100s terminated"},
		"with a log that a client blocks": {withStreamTimeout, func(s *Session, _ *fakeTree) {
			c := s.Cursor(stream.CursorOptions{Block: true})
			go func() {
				for range 40 { // more than the log's bound
					s.log.Append(stream.Piece{Kind: stream.Stdout, Data: make([]byte, stream.MaxPiece), Sealed: true})
				}
			}()
			pass(1000)
			for _, ok := c.Next(); ok; _, ok = c.Next() {
				synctest.Wait()
			}
		}, StreamTimedOut, 1010, false, "1010s terminated"},
	})
}

func TestLingerInFakeTime(t *testing.T) {
	testInFakeTime(t, map[string]fakeCase{
		"without a hold": {withLinger, nil, Disconnected, 10, false, "10s terminated"},
		"after a hold": {withLinger, func(s *Session, _ *fakeTree) {
			release := s.Hold()
			pass(100)
			release()
			release() // no effect
		}, Disconnected, 110, false, "110s terminated"},
		"after the last hold": {withLinger, func(s *Session, _ *fakeTree) {
			a, release := s.Attach(AttachOptions{}), s.Hold()
			pass(50)
			a.Detach()
			pass(50)
			release()
		}, Disconnected, 110, false, "110s terminated"},
		"restarted by a short hold": {withLinger, func(s *Session, _ *fakeTree) {
			pass(9)
			s.Attach(AttachOptions{}).Detach()
		}, Disconnected, 19, false, "19s terminated"},
		"paused": {withLinger, func(s *Session, _ *fakeTree) {
			_ = s.Pause()
		}, Disconnected, 10, false, "0s pause, 10s terminated"},
		"after the exit": {both(withLinger, withDescendants), func(s *Session, f *fakeTree) {
			pass(9)
			s.blocked.set(true)
			f.end()
			pass(100)
			s.blocked.set(false)
		}, Exited, 119.25, true, "109.25s sweep"},
		"no limit": {nil, func(s *Session, _ *fakeTree) {
			s.Attach(AttachOptions{}).Detach()
			pass(1e6)
			s.End(Canceled, nil)
		}, Canceled, 1e6, false, "1e+06s terminated"},
	})
}

func TestGraceInFakeTime(t *testing.T) {
	half, second := seconds/2, seconds
	testInFakeTime(t, map[string]fakeCase{
		"of the spec": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.End(Canceled, nil)
		}, Canceled, 10, true, "0s terminated, 10s kill"},
		"of the request": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.End(Canceled, &half)
		}, Canceled, 0.5, true, "0s terminated, 0.5s kill"},
		"none": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.End(Canceled, new(time.Duration))
		}, Canceled, 0, true, "0s kill"},
		"none with SIGKILL": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.Cancel(nil, syscall.SIGKILL)
		}, Canceled, 0, true, "0s kill"},
		"shortened": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.End(Canceled, nil)
			pass(4)
			s.End(Shutdown, &second)
		}, Canceled, 5, true, "0s terminated, 5s kill"},
		"not lengthened": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.End(Canceled, nil)
			pass(4)
			s.End(Shutdown, nil)
		}, Canceled, 10, true, "0s terminated, 10s kill"},
		"with another signal": {ignoringTERM, func(s *Session, _ *fakeTree) {
			s.End(Canceled, nil)
			pass(4)
			s.Cancel(nil, syscall.SIGINT)
		}, Canceled, 10, true, "0s terminated, 4s interrupt, 10s kill"},
		"of a command that SIGKILL does not end": {func(o *Spec, f *fakeTree) {
			ignoringTERM(o, f)
			f.ignoresKILL = true
		}, func(s *Session, _ *fakeTree) {
			s.End(Canceled, nil)
		}, Canceled, 12, true, "0s terminated, 10s kill, 12s abandon"},
		"for descendants after the exit": {withDescendants, func(_ *Session, f *fakeTree) {
			pass(3)
			f.end()
		}, Exited, 13.25, true, "3.25s sweep"},
		"for descendants, shortened": {withDescendants, func(s *Session, f *fakeTree) {
			f.end()
			pass(5)
			s.End(Canceled, &second)
		}, Exited, 6, true, "0.25s sweep"},
		"for descendants of a canceled command": {withDescendants, func(s *Session, f *fakeTree) {
			s.End(Canceled, nil)
			pass(3)
			f.end()
		}, Canceled, 10, true, "0s terminated, 3.25s sweep"},
	})
}

// TestDrainInFakeTime checks how long output of descendants is read after the exit of the command.
func TestDrainInFakeTime(t *testing.T) {
	testInFakeTime(t, map[string]fakeCase{
		"canceled before the exit was noticed": {withDescendants, func(s *Session, f *fakeTree) {
			f.end()
			s.End(Canceled, nil)
		}, Exited, 10, true, "0s sweep"},
		"with a blocked log": {withDescendants, func(s *Session, f *fakeTree) {
			s.blocked.set(true)
			f.end()
			pass(1000)
			s.blocked.set(false)
		}, Exited, 1010.25, true, "1000.25s sweep"},
		"with a blocked log, until a cancel": {withDescendants, func(s *Session, f *fakeTree) {
			s.blocked.set(true)
			f.end()
			pass(1000)
			s.End(Canceled, nil)
		}, Exited, 1010, true, "1000s sweep"},
		"with a blocked log, after a cancel": {withDescendants, func(s *Session, f *fakeTree) {
			s.blocked.set(true)
			s.End(Canceled, nil)
			pass(3)
			f.end()
		}, Canceled, 10, true, "0s terminated, 3.25s sweep"},
		"while the session waits for descendants": {waitingForTheTree, func(_ *Session, f *fakeTree) {
			f.end()
			pass(1e6)
			f.endDescendants()
		}, Exited, 1e6, false, ""},
		"while the session waits for descendants, until a cancel": {waitingForTheTree, func(s *Session, f *fakeTree) {
			f.end()
			pass(100)
			s.End(Canceled, nil)
		}, Canceled, 100, false, "100s terminated"},
	})
}

// TestRetention checks in fake time that each ended session is kept for exactly Options.Retain.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{Retain: 10 * seconds})
		begin := time.Now()
		end := map[string]time.Duration{} // when each session has ended
		check := func() {
			t.Helper()
			synctest.Wait()
			now := time.Since(begin)
			for id, at := range end {
				_, err := r.Find("me", id)
				if kept := err == nil; kept != (now < at+10*seconds) {
					t.Errorf("after %v, session %s that ended after %v is kept: %v", now, id, at, kept)
				}
			}
		}
		pass := func(d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(min(seconds/2, time.Until(until))) {
				check()
			}
		}
		for i, pause := range []time.Duration{0, 1, 0, 5 * seconds, 20 * seconds, 4 * seconds} {
			pass(pause) // the longest one removes all sessions
			s, f := fakeSession(t, r, fmt.Sprint(i), nil)
			f.end()
			<-s.Done()
			end[s.ID()] = time.Since(begin)
		}
		pass(15 * seconds)
		if n := len(r.all()); n != 0 || r.budget.Used() != 0 {
			t.Errorf("%d sessions are left, %d bytes", n, r.budget.Used())
		}
		r.Shutdown(context.Background())
	})
}

// TestShutdownBoundsTheGrace checks in fake time that a session has at most ShutdownGrace at
// shutdown, also if its end has begun before.
func TestShutdownBoundsTheGrace(t *testing.T) {
	for name, before := range map[string]func(*Session){
		"running": func(*Session) {},
		"ending":  func(s *Session) { s.End(Canceled, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRegistry(Options{})
				s, f := fakeSession(t, r, "id", func(o *Spec, f *fakeTree) { o.Grace, f.ignoresTERM = time.Hour, true })
				before(s)
				ctx, cancel := context.WithTimeout(context.Background(), 5*seconds)
				defer cancel()
				r.Shutdown(ctx)
				if got := time.Since(f.begin); got != 5*seconds+ShutdownGrace || !s.Record().Escalated {
					t.Errorf("the shutdown took %v; %+v", got, s.Record())
				}
			})
		})
	}
}
