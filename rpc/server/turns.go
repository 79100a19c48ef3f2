package server

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// turns lets the requests of several principals take turns. The Go scheduler runs goroutines in the
// order in which they become ready, so the requests of a principal with many connections would make
// each request of another one wait for all of its own. While a single principal is connected there
// are no turns.
//
// A goroutine of a connection has a turn while it decodes and handles messages, or encodes the reply
// to a request that has waited; it has none while it reads from the socket or waits for it. The time
// of the system calls that read and write counts as part of the next turn of the connection.
//
// While several principals are active, the turns that one has at the same time are at most its part of
// the processors. If further ones wait, it pauses after turnsTime of them for as long as they took: the
// kernel and the garbage collector work for it too.
//
// A handler may wait in its turn, as for a file system, so others begin after maxTurn, which is longer
// than any message takes the processor. Starts of
// processes have turns of their own in the package session, and output in the package stream.
type turns struct {
	processors int
	longest    time.Duration // maxTurn, but for a test
	connected  atomic.Int32  // the length of shares

	mu     sync.Mutex
	shares map[string]*turnShare // by principal
	period time.Time             // when the current one began, of the length activeTime
	active int                   // principals with a turn in this period
	before int                   // in the period before it
}

// turnShare is the turns of one principal. It exists while the principal has connections.
type turnShare struct {
	connections int
	period      time.Time // of the newest turn
	running     []*turn
	waiting     []*turn       // in the order in which they begin
	used        time.Duration // since the last pause, or since no turn was waiting
	pause       *time.Timer   // ends a pause; nil if there is none
	overdue     *time.Timer   // ends turns that are too long; nil if none waits
}

// turn is one turn.
type turn struct {
	turns *turns
	share *turnShare
	begun time.Time
	ready chan struct{} // closed when a turn that has waited begins
}

const (
	// turnsTime is how long the turns of a principal take in all before it pauses.
	turnsTime = 500 * time.Microsecond
	// maxPause is the longest pause.
	maxPause = 100 * time.Millisecond
	// maxTurn is after what time a turn does not count any more, in a range up to twice of that.
	maxTurn = 500 * time.Millisecond
	// activeTime is how long a principal is active after a turn, in a range up to twice of that.
	activeTime = 100 * time.Millisecond
)

func newTurns() *turns {
	return &turns{processors: runtime.GOMAXPROCS(0), longest: maxTurn, shares: make(map[string]*turnShare)}
}

// connect counts a connection of a principal.
func (t *turns) connect(principal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.shares[principal]
	if s == nil {
		s = new(turnShare)
		t.shares[principal] = s
		t.connected.Store(int32(len(t.shares)))
	}
	s.connections++
}

// disconnect ends what connect began. No goroutine of the connection has a turn or waits for one.
func (t *turns) disconnect(principal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.shares[principal]
	if s.connections--; s.connections > 0 {
		return
	}
	s.stopTimers()
	delete(t.shares, principal)
	t.connected.Store(int32(len(t.shares)))
}

// enter waits for a turn of a principal that is connected. The time before counts as part of the turn.
// The caller calls leave. The turn is nil while there are none.
func (t *turns) enter(principal string, before time.Duration) *turn {
	if t.connected.Load() <= 1 {
		return nil
	}
	t.mu.Lock()
	s := t.shares[principal]
	w := &turn{turns: t, share: s, begun: time.Now()}
	t.note(s, w.begun)
	s.used += before
	if len(s.waiting) == 0 && t.permits(s) {
		s.running = append(s.running, w)
		t.mu.Unlock()
		return w
	}
	w.ready = make(chan struct{})
	s.waiting = append(s.waiting, w)
	t.next(s, w.begun) // fewer principals may be active than before
	if s.overdue == nil {
		s.overdue = time.AfterFunc(t.longest, func() { t.endOverdue(s) })
	}
	t.mu.Unlock()
	<-w.ready
	return w
}

// leave ends the turn. It has no effect on one that has ended, or that is nil.
func (w *turn) leave() {
	if w == nil {
		return
	}
	t, s := w.turns, w.share
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(s.running, w)
	if i < 0 {
		return
	}
	s.running = slices.Delete(s.running, i, i+1)
	now := time.Now()
	t.note(s, now)
	s.used += now.Sub(w.begun)
	switch {
	case len(s.waiting) == 0:
		s.used = 0
	case s.used >= turnsTime && t.sharers() > 1 && s.pause == nil:
		s.pause = time.AfterFunc(min(s.used, maxPause), func() { t.endPause(s) })
		s.used = 0
	default:
		t.next(s, now)
	}
}

// note records that a principal is active.
func (t *turns) note(s *turnShare, now time.Time) {
	if since := now.Sub(t.period); since >= activeTime {
		t.before = t.active
		if since >= 2*activeTime {
			t.before = 0
		}
		t.active, t.period = 0, now
	}
	if !s.period.Equal(t.period) {
		s.period = t.period
		t.active++
	}
}

// sharers returns among how many principals the processors are divided.
func (t *turns) sharers() int { return max(t.active, t.before, 1) }

// permits reports whether a turn of a principal may begin.
func (t *turns) permits(s *turnShare) bool {
	return s.pause == nil && len(s.running) < max(t.processors/t.sharers(), 1)
}

// next begins the turns of a principal that are possible.
func (t *turns) next(s *turnShare, now time.Time) {
	for len(s.waiting) > 0 && t.permits(s) {
		w := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		w.begun = now
		s.running = append(s.running, w)
		close(w.ready)
	}
}

func (t *turns) endPause(s *turnShare) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.pause = nil
	t.next(s, time.Now())
}

// endOverdue lets turns begin in place of those that take too long.
func (t *turns) endOverdue(s *turnShare) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.overdue = nil
	if len(s.waiting) == 0 {
		return
	}
	now := time.Now()
	s.running = slices.DeleteFunc(s.running, func(w *turn) bool { return now.Sub(w.begun) >= t.longest })
	if t.next(s, now); len(s.waiting) > 0 {
		s.overdue = time.AfterFunc(t.longest, func() { t.endOverdue(s) })
	}
}

func (s *turnShare) stopTimers() {
	for _, timer := range []*time.Timer{s.pause, s.overdue} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// connTurn is the turn of the goroutine that reads a connection. A nil one is none.
type connTurn struct {
	turns     *turns
	principal string
	turn      *turn
	before    atomic.Int64 // nanoseconds of system calls since the last turn
}

func newConnTurn(t *turns, principal string) *connTurn {
	return &connTurn{turns: t, principal: principal}
}

// enter waits for a turn, unless there is one.
func (c *connTurn) enter() {
	if c != nil && c.turn == nil {
		c.turn = c.turns.enter(c.principal, time.Duration(c.before.Swap(0)))
	}
}

// leave ends the turn if there is one.
func (c *connTurn) leave() {
	if c != nil {
		c.turn.leave()
		c.turn = nil
	}
}

// now returns the time for spent; it is zero while there are no turns.
func (c *connTurn) now() (t time.Time) {
	if c != nil && c.turns.connected.Load() > 1 {
		t = time.Now()
	}
	return t
}

// spent is called after a system call which began at that time. It may be called concurrently.
func (c *connTurn) spent(begun time.Time) {
	if !begun.IsZero() {
		c.before.Add(int64(time.Since(begun)))
	}
}
