package stream

import (
	"sync"
	"time"
)

// Deadline is a countdown that can be held: only time in which nobody holds it counts. It serves as the
// stream deadline (restarted by [Deadline.Touch]), as the running-time limit and as the bound of a drain.
// A nil Deadline never passes. All methods may be called concurrently.
type Deadline struct {
	mu    sync.Mutex
	span  time.Duration
	left  time.Duration // at since, or while held
	since time.Time     // when the count last went on or began anew
	holds int
	timer *time.Timer
	fire  func()
	over  bool // passed or stopped
}

// NewDeadline starts a countdown of span and calls fire in a goroutine of its own, once, when it has
// passed; fire must not block. A span of 0 or less gives nil: no deadline.
func NewDeadline(span time.Duration, fire func()) *Deadline {
	if span <= 0 {
		return nil
	}
	d := &Deadline{span: span, left: span, since: time.Now(), fire: fire}
	d.timer = time.AfterFunc(span, d.check)
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
		d.left -= time.Since(d.since)
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
		d.timer.Reset(max(d.left, 0))
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
	d.mu.Lock()
	if d.over || d.holds > 0 {
		d.mu.Unlock()
		return
	}
	if rest := d.left - time.Since(d.since); rest > 0 {
		d.timer.Reset(rest)
		d.mu.Unlock()
		return
	}
	d.over = true
	d.mu.Unlock()
	d.fire()
}
