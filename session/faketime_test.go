package session

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// fakeTree is a process tree in a synctest bubble: a command, and descendants that have its pipes open. It
// records what is done to it, as text, with the seconds since its start.
type fakeTree struct {
	tree        // panics if a method is called that is not implemented below
	begin       time.Time
	descendants bool
	ignoresTERM bool // the command and its descendants do
	ignoresKILL bool // the command is in an uninterruptible sleep
	readers     *readers

	mu     sync.Mutex
	record []string

	exit, dead         chan struct{} // closed when the command has exited, and when the descendants have
	exitOnce, deadOnce sync.Once
}

// fakeSession returns a session that runs a fake tree. Change, if not nil, changes the spec and the tree.
func fakeSession(t *testing.T, r *Registry, id string, change func(*Spec, *fakeTree)) (*Session, *fakeTree) {
	t.Helper()
	f := &fakeTree{begin: time.Now(), exit: make(chan struct{}), dead: make(chan struct{}), readers: &readers{done: make(chan struct{})}}
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
	s.update(func(st *status) { st.start.begun, st.start.cancel = time.Now(), func() {} })
	s.accept()
	s.startDeadlines(func() bool { return false })
	s.setRunning(f, time.Now())
	close(s.ready)
	r.wg.Go(func() { // as Session.supervise does
		<-f.exit
		go func() { <-f.dead; close(f.readers.done) }() // the readers get the end of the pipes
		s.afterExit(f, f.readers, nil)
	})
	return s, f
}

func (f *fakeTree) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record = append(f.record, fmt.Sprintf("%gs %s", time.Since(f.begin).Seconds(), what))
}

func (f *fakeTree) end() { f.exitOnce.Do(func() { close(f.exit) }) }

func (f *fakeTree) endDescendants() { f.deadOnce.Do(func() { close(f.dead) }) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (f *fakeTree) PID() int                         { return 1234 }
func (f *fakeTree) PGID() int                        { return 1234 }
func (f *fakeTree) Containment() process.Containment { return process.Group }
func (f *fakeTree) Held() []process.Held             { return nil }
func (f *fakeTree) Exited() bool                     { return isClosed(f.exit) }
func (f *fakeTree) Alive() (bool, error)             { return !f.Exited() || !isClosed(f.dead), nil }
func (f *fakeTree) Pause() error                     { f.note("pause"); return nil }
func (f *fakeTree) Resume() error                    { f.note("resume"); return nil }
func (f *fakeTree) Close()                           {}

func (f *fakeTree) ExitStatus() (int, syscall.Signal, bool) { return 0, 0, true }
func (f *fakeTree) Reap() (process.Exit, error)             { return process.Exit{Known: true}, nil }

func (f *fakeTree) TerminateBy(sig syscall.Signal) error {
	f.note("signal " + sig.String())
	if !f.ignoresTERM {
		f.end()
		f.endDescendants()
	}
	return nil
}

func (f *fakeTree) Kill() error {
	f.note("kill")
	if !f.ignoresKILL {
		f.end()
		f.endDescendants()
	}
	return nil
}

func (f *fakeTree) Abandon() {
	f.note("abandon")
	f.end()
	f.endDescendants()
}

func (f *fakeTree) AwaitTree(ctx context.Context) {
	select {
	case <-f.dead:
	case <-ctx.Done():
	}
}

func (f *fakeTree) Sweep(ctx context.Context, grace time.Duration) (r process.SweepResult) {
	if isClosed(f.dead) {
		return r
	}
	f.note("sweep")
	select {
	case <-f.dead:
	case <-ctx.Done():
		r.Escalated = true
	case <-time.After(grace):
		r.Escalated = true
	}
	f.endDescendants()
	return r
}

const seconds = time.Second

// TestDeadlines checks in fake time when each deadline of a session ends it, and what is sent to the tree.
func TestDeadlines(t *testing.T) {
	pass := func(n int) { time.Sleep(time.Duration(n) * time.Second) }
	ms := func(n int) *time.Duration { d := time.Duration(n) * time.Millisecond; return &d }
	timeout := func(o *Spec, _ *fakeTree) { o.Timeout = 10 * seconds }
	streamTimeout := func(o *Spec, _ *fakeTree) { o.StreamTimeout = 10 * seconds }
	linger := func(o *Spec, _ *fakeTree) { o.Linger = 10 * seconds }
	stubborn := func(o *Spec, f *fakeTree) { o.Grace, f.ignoresTERM = 10*seconds, true }
	descendants := func(o *Spec, f *fakeTree) { stubborn(o, f); f.descendants = true }
	both := func(all ...func(*Spec, *fakeTree)) func(*Spec, *fakeTree) {
		return func(o *Spec, f *fakeTree) {
			for _, change := range all {
				change(o, f)
			}
		}
	}
	waitForTree := func(o *Spec, f *fakeTree) { f.descendants = true; o.WaitForTree = true }
	for name, c := range map[string]struct {
		change    func(*Spec, *fakeTree)
		do        func(s *Session, f *fakeTree)
		cause     Cause
		ended     float64 // seconds after the start
		escalated bool
		record    []string
	}{
		"timeout":                      {timeout, nil, TimedOut, 10, false, []string{"10s signal terminated"}},
		"timeout, held while paused":   {timeout, func(s *Session, _ *fakeTree) { pass(4); s.Pause(); pass(100); s.Resume() }, TimedOut, 110, false, []string{"4s pause", "104s resume", "110s signal terminated"}},
		"timeout, in spite of output":  {timeout, func(s *Session, _ *fakeTree) { pass(4); s.streamTimeout.Touch(); s.blocked.set(true) }, TimedOut, 10, false, []string{"10s signal terminated"}},
		"timeout, descendants run on":  {both(timeout, waitForTree), func(_ *Session, f *fakeTree) { pass(4); f.end() }, TimedOut, 10, false, []string{"10s signal terminated"}},
		"timeout, after another cause": {both(timeout, stubborn), func(s *Session, f *fakeTree) { pass(9); s.End(Canceled, nil) }, Canceled, 19, true, []string{"9s signal terminated", "19s kill"}},

		"stream timeout":                    {streamTimeout, nil, StreamTimedOut, 10, false, []string{"10s signal terminated"}},
		"stream timeout, touched":           {streamTimeout, func(s *Session, _ *fakeTree) { pass(4); s.streamTimeout.Touch() }, StreamTimedOut, 14, false, []string{"14s signal terminated"}},
		"stream timeout, held while paused": {streamTimeout, func(s *Session, _ *fakeTree) { pass(4); s.Pause(); pass(100); s.Resume() }, StreamTimedOut, 110, false, []string{"4s pause", "104s resume", "110s signal terminated"}},
		"stream timeout, input": {streamTimeout, func(s *Session, _ *fakeTree) {
			r, w, _ := os.Pipe()
			s.stdin.open(w, nil, s.streamTimeout.Touch)
			for range 10 {
				pass(9)
				<-s.Write([]byte("x"), nil, false).Done
			}
			r.Close()
		}, StreamTimedOut, 100, false, []string{"100s signal terminated"}},
		"stream timeout, held while a client blocks the log": {streamTimeout, func(s *Session, _ *fakeTree) {
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
		}, StreamTimedOut, 1010, false, []string{"1010s signal terminated"}},

		"linger":               {linger, nil, Disconnected, 10, false, []string{"10s signal terminated"}},
		"linger, after a hold": {linger, func(s *Session, _ *fakeTree) { release := s.Hold(); pass(100); release(); release() }, Disconnected, 110, false, []string{"110s signal terminated"}},
		"linger, after the last": {linger, func(s *Session, _ *fakeTree) {
			a, release := s.Attach(AttachOptions{}), s.Hold()
			pass(50)
			a.Detach()
			pass(50)
			release()
		}, Disconnected, 110, false, []string{"110s signal terminated"}},
		"linger, starts again":      {linger, func(s *Session, _ *fakeTree) { pass(9); s.Attach(AttachOptions{}).Detach() }, Disconnected, 19, false, []string{"19s signal terminated"}},
		"linger, also while paused": {linger, func(s *Session, _ *fakeTree) { s.Pause() }, Disconnected, 10, false, []string{"0s pause", "10s signal terminated"}},
		"linger, not after the exit": {both(linger, descendants), func(s *Session, f *fakeTree) {
			pass(9)
			s.blocked.set(true)
			f.end()
			pass(100)
			s.blocked.set(false)
		}, Exited, 119.25, true, []string{"109.25s sweep"}},
		"linger, 0 is no limit": {nil, func(s *Session, _ *fakeTree) { s.Attach(AttachOptions{}).Detach(); pass(1e6); s.End(Canceled, nil) }, Canceled, 1e6, false, []string{"1e+06s signal terminated"}},

		"grace":                 {stubborn, func(s *Session, _ *fakeTree) { s.End(Canceled, nil) }, Canceled, 10, true, []string{"0s signal terminated", "10s kill"}},
		"grace of the request":  {stubborn, func(s *Session, _ *fakeTree) { s.End(Canceled, ms(500)) }, Canceled, 0.5, true, []string{"0s signal terminated", "0.5s kill"}},
		"no grace":              {stubborn, func(s *Session, _ *fakeTree) { s.End(Canceled, new(time.Duration)) }, Canceled, 0, true, []string{"0s kill"}},
		"cancel by SIGKILL":     {stubborn, func(s *Session, _ *fakeTree) { s.Cancel(nil, syscall.SIGKILL) }, Canceled, 0, true, []string{"0s kill"}},
		"grace, shortened":      {stubborn, func(s *Session, _ *fakeTree) { s.End(Canceled, nil); pass(4); s.End(Shutdown, ms(1000)) }, Canceled, 5, true, []string{"0s signal terminated", "5s kill"}},
		"grace, not lengthened": {stubborn, func(s *Session, _ *fakeTree) { s.End(Canceled, nil); pass(4); s.End(Shutdown, nil) }, Canceled, 10, true, []string{"0s signal terminated", "10s kill"}},
		"another signal":        {stubborn, func(s *Session, _ *fakeTree) { s.End(Canceled, nil); pass(4); s.Cancel(nil, syscall.SIGINT) }, Canceled, 10, true, []string{"0s signal terminated", "4s signal interrupt", "10s kill"}},
		"a command that SIGKILL does not end": {func(o *Spec, f *fakeTree) { stubborn(o, f); f.ignoresKILL = true }, func(s *Session, _ *fakeTree) { s.End(Canceled, nil) },
			Canceled, 12, true, []string{"0s signal terminated", "10s kill", "12s abandon"}},

		"exit, with descendants":     {descendants, func(_ *Session, f *fakeTree) { pass(3); f.end() }, Exited, 13.25, true, []string{"3.25s sweep"}},
		"exit during the grace":      {descendants, func(s *Session, f *fakeTree) { s.End(Canceled, nil); pass(3); f.end() }, Canceled, 10, true, []string{"0s signal terminated", "3.25s sweep"}},
		"exit, then a shorter grace": {descendants, func(s *Session, f *fakeTree) { f.end(); pass(5); s.End(Canceled, ms(1000)) }, Exited, 6, true, []string{"0.25s sweep"}},
		"exit that was not noticed":  {descendants, func(s *Session, f *fakeTree) { f.end(); s.End(Canceled, nil) }, Exited, 10, true, []string{"0s sweep"}},
		"exit, while a client blocks the log": {descendants, func(s *Session, f *fakeTree) { s.blocked.set(true); f.end(); pass(1000); s.blocked.set(false) },
			Exited, 1010.25, true, []string{"1000.25s sweep"}},
		"exit, while a client blocks the log, then cancel": {descendants, func(s *Session, f *fakeTree) { s.blocked.set(true); f.end(); pass(1000); s.End(Canceled, nil) },
			Exited, 1010, true, []string{"1000s sweep"}},
		"cancel, while a client blocks the log": {descendants, func(s *Session, f *fakeTree) { s.blocked.set(true); s.End(Canceled, nil); pass(3); f.end() },
			Canceled, 10, true, []string{"0s signal terminated", "3.25s sweep"}},
		"descendants run on":               {waitForTree, func(s *Session, f *fakeTree) { f.end(); pass(1e6); f.endDescendants() }, Exited, 1e6, false, nil},
		"descendants run on, and a cancel": {waitForTree, func(s *Session, f *fakeTree) { f.end(); pass(100); s.End(Canceled, nil) }, Canceled, 100, false, []string{"100s signal terminated"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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
				if d := cmp.Diff(c.record, f.record); d != "" {
					t.Error(d)
				}
				r.Shutdown(context.Background())
			})
		})
	}
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
		for i, pause := range []time.Duration{0, 1, 0, 5 * seconds, 20 * seconds, 4 * seconds} { // all are removed during the longest
			for until := time.Since(begin) + pause; time.Since(begin) < until; time.Sleep(min(seconds/2, until-time.Since(begin))) {
				check()
			}
			s, f := fakeSession(t, r, fmt.Sprint(i), nil)
			f.end()
			<-s.Done()
			end[s.ID()] = time.Since(begin)
		}
		for range 30 {
			check()
			time.Sleep(seconds / 2)
		}
		if n := len(r.all()); n != 0 || r.budget.Used() != 0 {
			t.Errorf("%d sessions are left, %d bytes", n, r.budget.Used())
		}
		r.Shutdown(context.Background())
	})
}

// TestShutdownBoundsTheGrace checks in fake time that a session has at most ShutdownGrace at shutdown, also if
// its end has begun before.
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
