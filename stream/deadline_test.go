package stream

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countdown is a deadline of ten seconds in fake time. It records when it expired, in seconds from
// its start.
type countdown struct {
	*Deadline
	t       *testing.T
	begin   time.Time
	expired []float64
}

// count runs f with a countdown in a synctest bubble.
func count(t *testing.T, f func(c *countdown)) {
	t.Helper()
	counted(t, f, NewDeadline)
}

// countIdle is count with an idle deadline; unread is its active function.
func countIdle(t *testing.T, unread *atomic.Bool, f func(c *countdown)) {
	t.Helper()
	counted(t, f, func(span time.Duration, fire func()) *Deadline {
		return NewIdleDeadline(span, unread.Load, fire)
	})
}

func counted(t *testing.T, f func(c *countdown), start func(time.Duration, func()) *Deadline) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &countdown{t: t, begin: time.Now()}
		c.Deadline = start(10*time.Second, func() { c.expired = append(c.expired, time.Since(c.begin).Seconds()) })
		f(c)
		c.Stop()
	})
}

// suspend simulates a suspension of this process: the clock advances, and timers fire late.
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

// expect lets an hour pass and checks that the countdown expired once, at seconds; 0 is never.
func (c *countdown) expect(seconds float64) {
	c.t.Helper()
	c.pass(3600)
	switch {
	case seconds == 0 && len(c.expired) == 0:
	case len(c.expired) == 1 && c.expired[0] == seconds:
	default:
		c.t.Errorf("expired at %v, want once at %v", c.expired, seconds)
	}
}

func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		want float64
		do   func(c *countdown)
	}{
		{"expires once", 10, func(*countdown) {}},
		{"a touch restarts it", 13, func(c *countdown) { c.pass(3); c.Touch() }},
		{"each touch restarts it", 60, func(c *countdown) {
			for range 10 {
				c.pass(5)
				c.Touch()
			}
		}},
		{"a touch at the last moment counts", 19.999, func(c *countdown) { c.pass(9.999); c.Touch() }},
		{"a touch after expiry has no effect", 10, func(c *countdown) { c.pass(11); c.Touch() }},
		{"it does not count while paused", 0, func(c *countdown) { c.pass(9); c.Pause() }},
		{"it continues when it is resumed", 110, func(c *countdown) { c.pass(4); c.Pause(); c.pass(100); c.Resume() }},
		{"pauses nest", 130, func(c *countdown) {
			c.pass(9)
			c.Pause()
			c.pass(50)
			c.Pause()
			c.pass(20)
			c.Resume()
			c.pass(50)
			c.Resume()
		}},
		{"many short pauses add up", 20, func(c *countdown) {
			for range 10 {
				c.Pause()
				c.pass(1)
				c.Resume()
				c.pass(0.5)
			}
		}},
		{"touched while paused, it restarts when it is resumed", 60, func(c *countdown) {
			c.pass(9)
			c.Pause()
			c.pass(21)
			c.Touch()
			c.pass(20)
			c.Resume()
		}},
		{"touched before a pause, it continues when it is resumed", 48, func(c *countdown) {
			c.pass(5)
			c.Touch()
			c.pass(2)
			c.Pause()
			c.pass(33)
			c.Resume()
		}},
		{"stopped", 0, func(c *countdown) { c.pass(9); c.Stop() }},
		{"stopped while paused", 0, func(c *countdown) { c.pass(9); c.Pause(); c.Stop(); c.Resume() }},
		{"paused and resumed after Stop", 0, func(c *countdown) { c.Stop(); c.Pause(); c.pass(1); c.Resume() }},
		{"paused and resumed after expiry", 10, func(c *countdown) { c.pass(11); c.Pause(); c.Touch(); c.pass(1); c.Resume() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			count(t, func(d *countdown) { c.do(d); d.expect(c.want) })
		})
	}
}

// TestIdleDeadline checks that only time in which this process was not suspended counts.
func TestIdleDeadline(t *testing.T) {
	var unread atomic.Bool
	for _, c := range []struct {
		name string
		want float64
		do   func(c *countdown)
	}{
		{"expires without activity", 10, func(*countdown) {}},
		{"a touch restarts it", 13, func(c *countdown) { c.pass(3); c.Touch() }},
		{"unread data restarts it", 72.5, func(c *countdown) { unread.Store(true); c.pass(63); unread.Store(false) }},
		{"a suspension does not count", 10 + 100, func(c *countdown) { c.pass(2.5); c.suspend(100) }},
		{"nor does the time since the check before it", 2 + 100 + 10, func(c *countdown) { c.pass(2); c.suspend(100) }},
		{"unread data after a suspension restarts it", 3 + 100 + 10, func(c *countdown) {
			c.pass(3)
			unread.Store(true)
			c.suspend(100)
			unread.Store(false)
		}},
		{"a suspension between two checks has no effect", 10, func(c *countdown) { c.pass(1); c.suspend(1) }},
		{"many suspensions", 10*(1+5) + 10, func(c *countdown) {
			for range 10 {
				c.pass(1)
				c.suspend(5)
			}
		}},
		{"suspended before a pause", 200, func(c *countdown) { c.pass(2); c.suspend(100); c.Pause(); c.pass(88); c.Resume() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			countIdle(t, &unread, func(d *countdown) { c.do(d); d.expect(c.want) })
		})
	}
}

// TestDeadlineCountsASuspension: a suspension of this process does not stop the command.
func TestDeadlineCountsASuspension(t *testing.T) {
	count(t, func(c *countdown) { c.pass(3); c.suspend(100); c.expect(103) })
}

func TestNoDeadline(t *testing.T) {
	for _, span := range []time.Duration{0, -1} {
		d := NewDeadline(span, func() { t.Error("expired") })
		if d != nil {
			t.Errorf("NewDeadline(%v) is not nil", span)
		}
		d.Touch()
		d.Pause()
		d.Resume()
		d.Stop()
	}
}

// TestDeadlineUnderConcurrentUse checks that it expires once, a whole span after the last touch or
// pause.
func TestDeadlineUnderConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const span = time.Second
		var expired atomic.Int32
		var at time.Time
		d := NewDeadline(span, func() { expired.Add(1); at = time.Now() })
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for j := range 200 {
					switch (i + j) % 3 {
					case 0:
						d.Touch()
					case 1:
						d.Pause()
						time.Sleep(time.Duration(i) * time.Millisecond)
						d.Resume()
					default:
						time.Sleep(time.Duration(j) * time.Microsecond)
					}
				}
			})
		}
		all.Wait()
		d.Touch()
		last := time.Now()
		if n := expired.Load(); n != 0 {
			t.Fatalf("expired %d times while it was touched", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := expired.Load(); n != 1 || at.Sub(last) != span {
			t.Errorf("expired %d times, %v after the last touch", n, at.Sub(last))
		}
	})
}

func TestDeadlineLeft(t *testing.T) {
	count(t, func(c *countdown) {
		expect := func(seconds float64, running bool) {
			t.Helper()
			if left, ok := c.Left(); left.Seconds() != seconds || ok != running {
				t.Errorf("%v left, %t; want %v s, %t", left, ok, seconds, running)
			}
		}
		expect(10, true)
		c.pass(4)
		expect(6, true)
		c.Pause()
		c.pass(4)
		expect(6, true)
		c.Resume()
		c.Touch()
		expect(10, true)
		c.pass(10)
		expect(0, false)
	})
	if left, ok := (*Deadline)(nil).Left(); left != 0 || ok {
		t.Errorf("no deadline has %v left", left)
	}
}
