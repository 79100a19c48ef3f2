package session

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

const (
	// drainGrace is how long pipes that a descendant holds open are read after the command's exit. Time in
	// which a client holds up the reading does not count.
	drainGrace = 250 * time.Millisecond
	// killWait is how long after SIGKILL a command that does not exit is given up on.
	killWait = 2 * time.Second
)

// supervise sees a process to its end, in this order: its exit is observed, the pipes are drained, the
// rest of the tree is swept, what is left in the pipes is read without waiting for anyone, the command is
// reaped, the record is made. Sweeping first would lose the output of descendants that are about to write.
func (s *Session) supervise(p *process.Process) {
	readers := s.read(p)
	p.Adjust()
	s.windUp(p, readers, p.WaitExit())
}

// windUp is what follows the exit. It is a function of its own so that a goroutine that waits for one, as those of
// idle sessions do, gets by with the smallest stack.
//
//go:noinline
func (s *Session) windUp(p *process.Process, readers *readers, err error) {
	took := s.ranFor()
	if err == nil && s.spec.WaitForTree {
		s.noteLeft(p)
		s.awaitTree(p)
	}
	cause := s.exited()
	readers.drain(s, cause == Exited)
	swept := s.sweep(p)
	s.log.Unblock()
	readers.finish()
	s.stdin.shut("the session has ended")
	exit, _ := p.Reap() // an exit that nobody can tell is not Known, which is all there is to say
	p.Close()
	s.finish(exit, swept, took)
}

// ranFor is the time since the fork.
func (s *Session) ranFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.status.ran)
}

// exited notes that the command is gone, as the cause of the end if there is no earlier one, and returns
// the cause. No signal of this session's is on its way any more.
func (s *Session) exited() (cause Cause) {
	s.signaling.Lock() // a resume is noted before the exit to which it led
	s.update(func(st *status) {
		st.exited = true
		if st.state.Live() {
			st.cause = Exited
			s.beginEnd(st)
		}
		cause = st.cause
	})
	s.signaling.Unlock()
	s.signals.Wait()
	return cause
}

// noteLeft tells of the exit of a command whose descendants keep the session running.
func (s *Session) noteLeft(p *process.Process) {
	if some, err := p.Alive(); !some && err == nil {
		return
	}
	left := new(Left)
	left.Code, left.Signal, left.Known = p.ExitStatus()
	s.update(func(st *status) {
		if st.state.Live() {
			st.left = left
			s.log.AppendNote(left)
		}
	})
}

// awaitTree waits until no process of the tree lives, or the session is being ended.
func (s *Session) awaitTree(p *process.Process) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.update(func(st *status) {
		st.awaiting = cancel
		if !st.state.Live() {
			cancel()
		}
	})
	p.AwaitTree(ctx)
}

// sweep ends what is left of the tree within what is left of the grace.
func (s *Session) sweep(p *process.Process) process.SweepResult {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var grace time.Duration
	s.update(func(st *status) {
		grace = st.grace
		if s.stopSignal(st) == syscall.SIGKILL {
			grace = 0
		}
		if st.killer != nil {
			grace = time.Until(st.due)
		}
		st.sweeping = cancel
		if st.killed {
			cancel()
		}
	})
	return p.Sweep(ctx, grace)
}

// finish makes the record, which is the last event of the log, and gives the slot back.
func (s *Session) finish(exit process.Exit, swept process.SweepResult, took time.Duration) {
	s.reg.survived(s, &swept)
	s.reg.retain(s) // before anyone is told: who is finds the slot free
	s.update(func(st *status) {
		if st.killer != nil {
			st.killer.Stop()
		}
		rec := &Record{
			Cause:         st.cause,
			Exit:          exit,
			Escalated:     st.escalated || swept.Escalated,
			Survivors:     swept.Survivors,
			Unverified:    swept.Unverified,
			PID:           st.proc.PID(),
			PGID:          st.proc.PGID(),
			ExecutionTime: took,
		}
		s.log.AppendEvent(func(seq int64, sums stream.Counts) any {
			rec.Seq, rec.Counts = seq, sums
			return rec
		})
		st.record, st.ended = rec, time.Now()
		st.move(Ended)
	})
	close(s.done)
}

// readers are the goroutines that take the streams of one process to the log.
type readers struct {
	all  []*stream.Reader
	left atomic.Int32
	done chan struct{} // closed when none is left
}

func (s *Session) read(p *process.Process) *readers {
	r := &readers{done: make(chan struct{})}
	kind := stream.Stdout
	if s.spec.Program.Terminal != nil {
		kind = stream.PTY
	}
	if p.Stderr() == nil { // it is the same as stdout
		r.left.Store(1)
		r.start(s, kind, p.Stdout())
		return r
	}
	r.left.Store(2)
	r.start(s, kind, p.Stdout())
	r.start(s, stream.Stderr, p.Stderr())
	return r
}

func (r *readers) start(s *Session, kind stream.Kind, pipe *process.Pipe) {
	o := s.spec.Output
	o.Kind, o.OnRead = kind, s.silence.Touch
	reader := stream.NewReader(pipe, s.log, o)
	r.all = append(r.all, reader)
	go func() {
		if err := reader.Run(); err != nil {
			s.reg.o.Log.Warn().Err(err).Str("session", s.spec.ID).Msg("reading output")
		}
		if r.left.Add(-1) == 0 {
			close(r.done)
		}
	}()
}

// drain waits until all streams have ended, but not beyond drainGrace. With patience, time in which a
// client holds up the reading does not count, until the session is to hurry.
func (r *readers) drain(s *Session, patience bool) {
	select {
	case <-r.done: // the common case needs no timer
		return
	default:
	}
	hurried := s.draining()
	over := make(chan struct{})
	bound := stream.NewDeadline(drainGrace, func() { close(over) })
	defer bound.Stop()
	if patience {
		s.pace.add(bound)
	}
	select {
	case <-r.done:
	case <-over:
	case <-hurried:
	}
}

// draining returns a channel that is closed when the session is to hurry.
func (s *Session) draining() <-chan struct{} {
	hurried := make(chan struct{})
	s.update(func(st *status) {
		st.draining = hurried
		if st.hurried {
			close(hurried)
		}
	})
	return hurried
}

// finish reads what is left in the pipes and waits for the goroutines.
func (r *readers) finish() {
	for _, reader := range r.all {
		reader.Finish()
	}
	<-r.done
}
