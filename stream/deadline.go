package stream

import (
	"sync"
	"time"
)

const (
	// idleChecks is how often within its span an idle deadline checks for activity.
	idleChecks = 4
	// minLate and maxLate bound the delay of a timer from which on the process counts as suspended.
	minLate = 100 * time.Millisecond
	maxLate = time.Second
)

// Suspended reports whether this process must have been suspended, by SIGSTOP, by the cgroup
// freezer, or with its virtual machine, because a timer of the duration step that was due at due
// fires only at now. Silence of a peer before now is no evidence: the peer may have been suspended
// too, and this process has read nothing.
func Suspended(due, now time.Time, step time.Duration) bool {
	return now.Sub(due) > min(max(step, minLate), maxLate)
}

// Deadline is a countdown that can be paused: time in which it is paused does not count. It uses
// CLOCK_MONOTONIC, which advances while this process is stopped but not while the machine is
// suspended. An idle deadline, made by [NewIdleDeadline], is restarted by [Deadline.Touch]. A nil
// Deadline never expires. All methods may be called concurrently.
type Deadline struct {
	mu      sync.Mutex
	span    time.Duration
	left    time.Duration // at since, or while paused
	since   time.Time     // when the countdown last started or continued
	due     time.Time     // when the timer is to fire
	pauses  int
	timer   *time.Timer
	expire  func()
	stopped bool // expired or stopped

	step   time.Duration // the longest time between two checks; span unless it is an idle deadline
	active func() bool   // of an idle deadline; may be nil
}

// NewDeadline starts a countdown of span. When it expires, expire is called once, in a goroutine of
// its own; it must not block. If span is not positive, NewDeadline returns nil: no deadline.
func NewDeadline(span time.Duration, expire func()) *Deadline {
	return newDeadline(span, span, nil, expire)
}

// NewIdleDeadline starts a countdown that expires when span has passed without activity: without a
// Touch, and without active returning true. active, if not nil, reports whether data has arrived
// that was not read yet; it is called a few times within span, with the deadline's lock held, and
// must not block.
//
// Time in which this process was suspended does not count, since it could not notice activity. The
// deadline expires at most a quarter of span late, and one more quarter for each suspension.
func NewIdleDeadline(span time.Duration, active func() bool, expire func()) *Deadline {
	return newDeadline(span, max(span/idleChecks, 1), active, expire)
}

func newDeadline(span, step time.Duration, active func() bool, expire func()) *Deadline {
	if span <= 0 {
		return nil
	}
	d := &Deadline{span: span, left: span, step: step, active: active, expire: expire}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = time.Now()
	d.due = d.since.Add(step)
	d.timer = time.AfterFunc(step, d.check)
	return d
}

// Touch restarts the countdown. It does not reset the timer, which checks again when it fires, so
// it costs one reading of the clock.
func (d *Deadline) Touch() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = d.span
	if d.pauses == 0 {
		d.since = time.Now()
	}
}

// Pause stops the countdown until Resume was called as often as Pause.
func (d *Deadline) Pause() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pauses++
	if d.pauses == 1 && !d.stopped {
		d.count(time.Now())
		d.timer.Stop()
	}
}

// Resume undoes one Pause. The countdown continues where it was paused.
func (d *Deadline) Resume() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pauses--
	if d.pauses == 0 && !d.stopped {
		d.since = time.Now()
		d.setTimer()
	}
}

// Left returns how much time is left, which is 0 if the countdown is about to expire. Ok is false for a
// nil Deadline, and one that has expired or was stopped.
func (d *Deadline) Left() (left time.Duration, ok bool) {
	if d == nil {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return 0, false
	}
	left = d.left
	if d.pauses == 0 {
		left -= time.Since(d.since)
	}
	return max(left, 0), true
}

// Stop ends the countdown. A call of expire that has begun already is not waited for.
func (d *Deadline) Stop() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.timer.Stop()
}

// check runs when the timer fires.
func (d *Deadline) check() {
	if d.expired() {
		d.expire()
	}
}

func (d *Deadline) expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || d.pauses > 0 {
		return false
	}
	d.count(time.Now())
	if d.active != nil && d.active() {
		d.left = d.span
	}
	d.stopped = d.left <= 0
	if !d.stopped {
		d.setTimer()
	}
	return d.stopped
}

// count subtracts the time since the last count. An idle deadline ignores it after a suspension.
func (d *Deadline) count(now time.Time) {
	if d.step == d.span || !Suspended(d.due, now, d.step) {
		d.left -= now.Sub(d.since)
	}
	d.since = now
}

// setTimer sets the timer for the next check.
func (d *Deadline) setTimer() {
	next := min(max(d.left, 0), d.step)
	d.due = d.since.Add(next)
	d.timer.Reset(next)
}
