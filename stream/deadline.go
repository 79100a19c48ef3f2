package stream

import (
	"sync"
	"time"
)

const (
	// silenceSteps is how often in its span a silence is looked at.
	silenceSteps = 4
	// A timer that fires later than its step, but at least minLate and at most maxLate, does so in a process that was
	// suspended.
	minLate = 100 * time.Millisecond
	maxLate = time.Second
)

// Suspended reports whether a timer that was set to step fires so late, now instead of at due, that this process must
// have been suspended: by SIGSTOP, by the freezer of its control group, or with its virtual machine. Time before that
// says nothing about others, who may have been suspended too, or could not be heard.
func Suspended(due, now time.Time, step time.Duration) bool {
	return now.Sub(due) > min(max(step, minLate), maxLate)
}

// Deadline is a countdown that can be held: only time in which nobody holds it counts. It goes by
// CLOCK_MONOTONIC, so the running-time limit counts time in which this process was stopped, but not that in which the
// whole machine was. A silence, made by [NewSilence], is one that [Deadline.Touch] restarts. A nil Deadline never
// passes. All methods may be called concurrently.
type Deadline struct {
	mu    sync.Mutex
	span  time.Duration
	left  time.Duration // at since, or while held
	since time.Time     // when the count last went on or began anew
	due   time.Time     // when the timer is to fire
	holds int
	timer *time.Timer
	fire  func()
	over  bool // passed or stopped

	step  time.Duration // the longest time between two looks; span where it is no silence
	heard func() bool   // of a silence; may be nil
}

// NewDeadline starts a countdown of span and calls fire in a goroutine of its own, once, when it has
// passed; fire must not block. A span of 0 or less gives nil: no deadline.
func NewDeadline(span time.Duration, fire func()) *Deadline {
	return newDeadline(span, span, nil, fire)
}

// NewSilence starts a countdown that passes when span has gone by without a sign of life: a Touch, or that heard, if
// not nil, is true. Heard looks for what has arrived and was not read yet; it is called a few times in a span, under the
// deadline's lock, and must not block. Time in which this process was suspended does not count: the silence may then
// have been this process's own. So it passes within span and a quarter, and that quarter once more for each suspension.
func NewSilence(span time.Duration, heard func() bool, fire func()) *Deadline {
	return newDeadline(span, max(span/silenceSteps, 1), heard, fire)
}

func newDeadline(span, step time.Duration, heard func() bool, fire func()) *Deadline {
	if span <= 0 {
		return nil
	}
	d := &Deadline{span: span, left: span, step: step, heard: heard, fire: fire}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = time.Now()
	d.due = d.since.Add(step)
	d.timer = time.AfterFunc(step, d.check)
	return d
}

// Touch starts the countdown anew. The timer is left as it is and looks again when it fires, so a touch a
// read costs one reading of the clock.
func (d *Deadline) Touch() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = d.span
	if d.holds == 0 {
		d.since = time.Now()
	}
}

// Hold stops the countdown until as many calls of Release came as of Hold.
func (d *Deadline) Hold() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holds++
	if d.holds == 1 && !d.over {
		d.count(time.Now())
		d.timer.Stop()
	}
}

// Release lets the countdown go on from where it stood.
func (d *Deadline) Release() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holds--
	if d.holds == 0 && !d.over {
		d.since = time.Now()
		d.wind()
	}
}

// Stop ends the countdown. Only a call of fire that is on its way already may still come.
func (d *Deadline) Stop() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.timer.Stop()
}

// check runs when the timer fires: touches since it was set put it off.
func (d *Deadline) check() {
	if d.passed() {
		d.fire()
	}
}

func (d *Deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.holds > 0 {
		return false
	}
	d.count(time.Now())
	if d.heard != nil && d.heard() {
		d.left = d.span
	}
	d.over = d.left <= 0
	if !d.over {
		d.wind()
	}
	return d.over
}

// count takes what has gone by since the count last went on off what is left.
func (d *Deadline) count(now time.Time) {
	if d.step == d.span || !Suspended(d.due, now, d.step) {
		d.left -= now.Sub(d.since)
	}
	d.since = now
}

// wind sets the timer for the next look.
func (d *Deadline) wind() {
	next := min(max(d.left, 0), d.step)
	d.due = d.since.Add(next)
	d.timer.Reset(next)
}
