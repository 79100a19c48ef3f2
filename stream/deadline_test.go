package stream

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countdown is a deadline of ten seconds in fake time, and when it fired, in seconds from its beginning.
type countdown struct {
	*Deadline
	t     *testing.T
	begin time.Time
	fired []float64
}

// count runs f in a bubble of fake time with a countdown.
func count(t *testing.T, f func(c *countdown)) {
	t.Helper()
	counted(t, f, NewDeadline)
}

// countSilence is count with a silence, in which unread says whether there is something to hear.
func countSilence(t *testing.T, unread *atomic.Bool, f func(c *countdown)) {
	t.Helper()
	counted(t, f, func(span time.Duration, fire func()) *Deadline {
		return NewSilence(span, unread.Load, fire)
	})
}

func counted(t *testing.T, f func(c *countdown), start func(time.Duration, func()) *Deadline) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &countdown{t: t, begin: time.Now()}
		c.Deadline = start(10*time.Second, func() { c.fired = append(c.fired, time.Since(c.begin).Seconds()) })
		f(c)
		c.Stop()
	})
}

// suspend is what a process sees that was suspended: the clock is ahead, and timers fire late.
func (c *countdown) suspend(seconds float64) {
	c.mu.Lock()
	d := time.Duration(seconds * float64(time.Second))
	c.begin, c.since, c.due = c.begin.Add(-d), c.since.Add(-d), c.due.Add(-d)
	c.timer.Reset(max(0, time.Until(c.due)))
	c.mu.Unlock()
	synctest.Wait()
}

func (c *countdown) pass(seconds float64) {
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	synctest.Wait()
}

// expect lets an hour pass and wants the countdown to have fired once, at seconds; 0 is never.
func (c *countdown) expect(seconds float64) {
	c.t.Helper()
	c.pass(3600)
	switch {
	case seconds == 0 && len(c.fired) == 0:
	case len(c.fired) == 1 && c.fired[0] == seconds:
	default:
		c.t.Errorf("fired at %v, want once at %v", c.fired, seconds)
	}
}

func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		want float64
		do   func(c *countdown)
	}{
		{"fires once", 10, func(*countdown) {}},
		{"a touch puts it off", 13, func(c *countdown) { c.pass(3); c.Touch() }},
		{"touches put it off again and again", 60, func(c *countdown) {
			for range 10 {
				c.pass(5)
				c.Touch()
			}
		}},
		{"a touch at the last moment counts", 19.999, func(c *countdown) { c.pass(9.999); c.Touch() }},
		{"a touch of one that passed does not revive it", 10, func(c *countdown) { c.pass(11); c.Touch() }},
		{"held, it does not count", 0, func(c *countdown) { c.pass(9); c.Hold() }},
		{"released, it goes on from where it stood", 110, func(c *countdown) { c.pass(4); c.Hold(); c.pass(100); c.Release() }},
		{"as many releases as holds", 130, func(c *countdown) {
			c.pass(9)
			c.Hold()
			c.pass(50)
			c.Hold()
			c.pass(20)
			c.Release()
			c.pass(50)
			c.Release()
		}},
		{"many short holds add up", 20, func(c *countdown) {
			for range 10 {
				c.Hold()
				c.pass(1)
				c.Release()
				c.pass(0.5)
			}
		}},
		{"touched while held, the whole span is left", 60, func(c *countdown) {
			c.pass(9)
			c.Hold()
			c.pass(21)
			c.Touch()
			c.pass(20)
			c.Release()
		}},
		{"touched before it is held, the rest of that is left", 48, func(c *countdown) {
			c.pass(5)
			c.Touch()
			c.pass(2)
			c.Hold()
			c.pass(33)
			c.Release()
		}},
		{"stopped", 0, func(c *countdown) { c.pass(9); c.Stop() }},
		{"stopped while held", 0, func(c *countdown) { c.pass(9); c.Hold(); c.Stop(); c.Release() }},
		{"held and released after it was stopped", 0, func(c *countdown) { c.Stop(); c.Hold(); c.pass(1); c.Release() }},
		{"held and released after it passed", 10, func(c *countdown) { c.pass(11); c.Hold(); c.Touch(); c.pass(1); c.Release() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			count(t, func(d *countdown) { c.do(d); d.expect(c.want) })
		})
	}
}

// A silence counts the time in which this process could have heard something.
func TestSilence(t *testing.T) {
	var unread atomic.Bool
	for _, c := range []struct {
		name string
		want float64
		do   func(c *countdown)
	}{
		{"passes like any other", 10, func(*countdown) {}},
		{"a touch puts it off", 13, func(c *countdown) { c.pass(3); c.Touch() }},
		{"what is not read yet puts it off", 72.5, func(c *countdown) { unread.Store(true); c.pass(63); unread.Store(false) }},
		{"the time of a suspension does not count", 10 + 100, func(c *countdown) { c.pass(2.5); c.suspend(100) }},
		{"nor does that since the look before it", 2 + 100 + 10, func(c *countdown) { c.pass(2); c.suspend(100) }},
		{"after a suspension what is not read yet counts", 3 + 100 + 10, func(c *countdown) {
			c.pass(3)
			unread.Store(true)
			c.suspend(100)
			unread.Store(false)
		}},
		{"a suspension that ends in time costs nothing", 10, func(c *countdown) { c.pass(1); c.suspend(1) }},
		{"many suspensions", 10*(1+5) + 10, func(c *countdown) {
			for range 10 {
				c.pass(1)
				c.suspend(5)
			}
		}},
		{"suspended before a hold", 200, func(c *countdown) { c.pass(2); c.suspend(100); c.Hold(); c.pass(88); c.Release() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			countSilence(t, &unread, func(d *countdown) { c.do(d); d.expect(c.want) })
		})
	}
}

// The running time is that of the command, which a suspension of this process does not stop.
func TestDeadlineCountsASuspension(t *testing.T) {
	count(t, func(c *countdown) { c.pass(3); c.suspend(100); c.expect(103) })
}

func TestNoDeadline(t *testing.T) {
	for _, span := range []time.Duration{0, -1} {
		d := NewDeadline(span, func() { t.Error("fired") })
		if d != nil {
			t.Errorf("a span of %v gave a deadline", span)
		}
		d.Touch()
		d.Hold()
		d.Release()
		d.Stop()
	}
}

// Whatever is done to it at once, it fires once, and only after a whole span that nobody touched or held.
func TestDeadlineUnderConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const span = time.Second
		var fired atomic.Int32
		var late time.Time
		d := NewDeadline(span, func() { fired.Add(1); late = time.Now() })
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for j := range 200 {
					switch (i + j) % 3 {
					case 0:
						d.Touch()
					case 1:
						d.Hold()
						time.Sleep(time.Duration(i) * time.Millisecond)
						d.Release()
					default:
						time.Sleep(time.Duration(j) * time.Microsecond)
					}
				}
			})
		}
		all.Wait()
		d.Touch()
		last := time.Now()
		if n := fired.Load(); n != 0 {
			t.Fatalf("fired %d times while it was touched", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := fired.Load(); n != 1 || late.Sub(last) != span {
			t.Errorf("fired %d times, %v after the last touch", n, late.Sub(last))
		}
	})
}
