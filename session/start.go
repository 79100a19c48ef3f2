package session

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// cancelWait is how long a start that was canceled has to come to its own end. Then the session is given up.
const cancelWait = 100 * time.Millisecond

// launch is the start of a session's process. Nothing waits for its goroutine, which may be blocked in a system call by a file
// system. It keeps the session's slot until it is done.
type launch struct {
	attempt *process.Attempt // nil once claimed
	cancel  context.CancelFunc
	timeout *time.Timer // gives the session up; nil for no bound
	giveUp  *time.Timer // the same, once the start was canceled
	claimed bool        // the process is there, and will be the session's
}

// Start is Begin and a wait for its end. The error is the View's Failure.
func (s *Session) Start() error {
	s.Begin()
	<-s.ready
	return s.View().Failure
}

// Begin begins to start the process; it is called once and waits for no file system. Ready is closed when the process runs or the start
// failed: then the session never existed, and View has the Failure, which is ErrCanceled or ErrShuttingDown if it was
// ended before it ran, and else an error of [process.Attempt.Start]. Its slot is free again when nothing of the
// start is left.
func (s *Session) Begin() {
	ctx, cancel := context.WithCancel(context.Background())
	l := &launch{attempt: s.reg.o.Host.Attempt(s.spec.Program), cancel: cancel}
	ended := false
	s.update(func(st *status) {
		st.launch, st.started = l, time.Now()
		ended = st.wanted
	})
	switch {
	case ended:
		cancel()
		s.fail(errNotStarted, true)
	case l.attempt.Prepare(): // a goroutine would cost 2 % of the time of a short command
		s.start(ctx, l)
	default:
		s.boundStart(l)
		go s.start(ctx, l)
	}
}

// boundStart gives the start up when it takes too long.
func (s *Session) boundStart(l *launch) {
	if s.reg.o.StartTimeout > 0 {
		s.update(func(*status) { l.timeout = time.AfterFunc(s.reg.o.StartTimeout, s.startTimedOut) })
	}
}

// StartMayWait says whether the start may wait for a file system. Otherwise it is about to be over.
func (s *Session) StartMayWait() (may bool) {
	s.update(func(st *status) {
		l := st.launch
		may = l == nil || l.attempt != nil && l.attempt.MayWait()
	})
	return may
}

func (s *Session) start(ctx context.Context, l *launch) {
	defer l.cancel()
	p, err := l.attempt.Start(ctx)
	program := &s.spec.Program
	program.Argv, program.Env, program.Attributes.Soft = nil, nil, nil // nobody needs them any more
	switch {
	case err != nil:
		if errors.Is(err, context.Canceled) {
			err = errNotStarted
		}
		s.fail(err, true)
	case s.claim(l):
		s.run(p)
	default: // it was given up meanwhile
		p.Discard()
		s.fail(errNotStarted, true)
	}
}

// claim says whether the session still wants its process. If so it is not given up any more.
func (s *Session) claim(l *launch) bool {
	s.update(func(st *status) {
		l.claimed = st.state == Starting
		l.attempt = nil // it has the arguments and the environment, which an ended session must not keep
		l.stopTimers()
	})
	return l.claimed
}

func (l *launch) stopTimers() {
	for _, t := range []*time.Timer{l.timeout, l.giveUp} {
		if t != nil {
			t.Stop()
		}
	}
}

// run makes p the session's process.
func (s *Session) run(p *process.Process) {
	s.timeout = stream.NewDeadline(s.spec.Timeout, func() { s.End(TimedOut, nil) })
	s.silence = stream.NewIdleDeadline(s.spec.StreamTimeout, func() bool { return unread(p) }, func() { s.End(StreamTimedOut, nil) })
	s.pace.add(s.silence)
	s.openStdin(p)
	s.update(func(st *status) {
		st.proc, st.ran = p, p.Started()
		st.move(Running)
		s.event(st, "started")
		s.lingerIfAlone(st)
		if st.wanted {
			s.signalEnd(st)
		}
	})
	s.reg.supervise(s, p)
	close(s.ready)
	s.doWaiting()
}

// unread reports whether the process has written what nobody has read yet.
func unread(p *process.Process) bool {
	return p.Stdout().Unread() || p.Stderr() != nil && p.Stderr().Unread()
}

// startTimedOut gives up a start that takes too long.
func (s *Session) startTimedOut() {
	var l *launch
	var path string
	s.update(func(st *status) {
		if l = st.launch; l.attempt != nil {
			path = l.attempt.Path()
		}
	})
	s.fail(&process.SpawnError{Path: path, Op: "exec", Errno: syscall.ETIMEDOUT}, false)
	l.cancel()
}

// cancelStart is the end of a session that does not run yet.
func (s *Session) cancelStart(l *launch) {
	l.cancel()
	l.giveUp = time.AfterFunc(cancelWait, func() { s.fail(errNotStarted, false) })
}

// errNotStarted stands for why a session was ended before it ran.
var errNotStarted = errors.New("not started")

func (st *status) whyNotStarted() error {
	if st.cause == Shutdown {
		return ErrShuttingDown
	}
	return ErrCanceled
}

// Discard gives up a session that Begin was not called for. One that was begun is left alone.
func (s *Session) Discard() {
	begun := false
	s.update(func(st *status) { begun = st.launch != nil })
	if !begun {
		s.fail(errDiscarded, true)
	}
}

// fail ends a session that does not run. With over nothing of its start is left: the session is forgotten and its slot free.
// Until then the session is reported as starting.
func (s *Session) fail(why error, over bool) {
	failed := false
	var attached []*Attachment
	s.update(func(st *status) {
		over = over && !st.startOver
		st.startOver = st.startOver || over
		if st.state != Starting || st.launch != nil && st.launch.claimed {
			return
		}
		if failed = true; why == errNotStarted {
			why = st.whyNotStarted()
		}
		if st.launch != nil {
			st.launch.stopTimers()
		}
		st.failure = why
		st.move(Ended)
		attached = s.evictAll(st, nil)
	})
	if over {
		s.reg.forget(s) // before anyone is told: who is finds the slot free
	}
	if failed {
		s.stdin.shut("the command did not start")
		s.reg.wg.Done()
		close(s.ready)
		close(s.done)
		tellEvicted(attached)
		s.doWaiting()
	}
}

// AfterStart calls f when the start is over, after the functions that were given before, and reports whether it will do so: if
// the start was over already, the caller has to go on by itself. f must not wait.
func (s *Session) AfterStart(f func()) (willCall bool) {
	s.update(func(st *status) {
		if willCall = !st.settled; willCall {
			st.waiting = append(st.waiting, f)
		}
	})
	return willCall
}

// doWaiting calls the functions that waited for the start in order, also those that are added meanwhile.
func (s *Session) doWaiting() {
	for {
		var all []func()
		s.update(func(st *status) {
			all, st.waiting = st.waiting, nil
			st.settled = len(all) == 0
		})
		if len(all) == 0 {
			return
		}
		for _, f := range all {
			f()
		}
	}
}
