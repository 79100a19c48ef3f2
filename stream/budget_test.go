package stream

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// budgetLog is a log with a budget and a blocking cursor that reads nothing. It counts the pages
// appended.
type budgetLog struct {
	*Log
	slow  *Cursor
	pages atomic.Int64
}

const (
	pageSize   = 16 << 10
	sharePages = minShare/(pageSize+entryOverhead) + 1 // pages in a log that waits at its minimum share
)

func newBudgetLog(b *Budget) *budgetLog {
	l := NewLog(LogOptions{Bound: 1 << 20, Account: b.Open("")})
	return &budgetLog{Log: l, slow: l.NewCursor(CursorOptions{Block: true})}
}

// fill appends pages in a goroutine, and returns when that has finished or waits.
func (s *budgetLog) fill(pages int) {
	go func() {
		for range pages {
			s.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
			s.pages.Add(1)
		}
	}()
	synctest.Wait()
}

// TestAppendContinuesWhenTheBudgetIsFree checks that all appends that wait for the budget continue
// as far as it has room, although their own readers read nothing.
func TestAppendContinuesWhenTheBudgetIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(5*minShare, func(*Account) {})
		others := NewLog(LogOptions{Bound: 1 << 20, Account: b.Open("")})
		for range 5*minShare/pageSize + 1 {
			others.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
		}
		var waiting []*budgetLog
		for range 3 {
			s := newBudgetLog(b)
			s.fill(sharePages + 1) // the greedy log may take all room before a goroutine appends again
			if n := s.pages.Load(); n != sharePages {
				t.Fatalf("%d pages before Append waits, want %d", n, sharePages)
			}
			waiting = append(waiting, s)
		}
		greedy := newBudgetLog(b)
		greedy.fill(1 << 20 / pageSize * 2)
		others.ReleaseBudget()
		synctest.Wait()
		for i, s := range waiting {
			if n := s.pages.Load(); n != sharePages+1 {
				t.Errorf("log %d has %d pages, want %d", i, n, sharePages+1)
			}
		}
		if used := b.Used(); !b.exceeded() || used > b.limit+2*pageSize {
			t.Errorf("%d bytes of %d are used", used, b.limit)
		}
		if n := b.waiting.Len(); n != 1 {
			t.Errorf("%d appends wait, want that of the greedy log", n)
		}
		greedy.Unblock()
		synctest.Wait()
		if n := b.waiting.Len(); n != 0 || greedy.appenders != 0 {
			t.Errorf("%d appends wait", n)
		}
	})
}

// TestGrantIsPassedOn checks that a log at its own bound passes the room in the budget on to the
// next waiter.
func TestGrantIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(6*minShare, func(*Account) {})
		others := NewLog(LogOptions{Bound: 1 << 20, Account: b.Open("")})
		for range 6*minShare/pageSize + 1 {
			others.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
		}
		first, second := newBudgetLog(b), newBudgetLog(b)
		first.bound = sharePages*(pageSize+entryOverhead) + 1 // it waits at its share now, and at its bound one page later
		first.fill(20)
		first.fill(20)
		second.fill(20)
		if first.appenders != 2 || b.waiting.Len() != 3 {
			t.Fatalf("%d of %d appends wait", first.appenders, b.waiting.Len())
		}
		others.ReleaseBudget()
		synctest.Wait()
		if n := first.pages.Load(); n != sharePages+1 {
			t.Errorf("the first log has %d pages, want %d", n, sharePages+1)
		}
		if n := second.pages.Load(); n != 20 {
			t.Errorf("the second log has %d pages, want all 20", n)
		}
		first.Unblock()
		second.Unblock()
		synctest.Wait()
	})
}

// TestDelayOutput checks that output waits until all delays are released, and that an event does
// not wait.
func TestDelayOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBlockedLog()
		release, second := p.DelayOutput(), p.DelayOutput()
		n := p.append(1)
		seq := event(p.Log, "x")
		second()
		synctest.Wait()
		if *n != 0 || seq != 1 {
			t.Errorf("%d pages; the event ends at %d", *n, seq)
		}
		release()
		synctest.Wait()
		if *n != 1 {
			t.Errorf("%d pages", *n)
		}
		checkPairs(t, p.calls)
	})
}

// TestBudgetUnderConcurrentUse checks that all appends finish and the whole budget is released.
func TestBudgetUnderConcurrentUse(t *testing.T) {
	b := NewBudget(4*minShare, func(*Account) {})
	page := bytes.Repeat([]byte("x"), pageSize)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			ready := make(chan struct{}, 1)
			l := NewLog(LogOptions{Bound: 2 * minShare, Account: b.Open("")})
			c := l.NewCursor(CursorOptions{Block: true, Ready: func() { ready <- struct{}{} }})
			var appenders sync.WaitGroup
			for range 2 {
				appenders.Go(func() {
					for range 100 {
						l.Append(Piece{Kind: Stdout, Data: page})
					}
				})
			}
			for got := int64(0); got < 200*pageSize; {
				if it, ok := c.Next(); ok {
					got = it.To
				} else {
					<-ready
				}
			}
			appenders.Wait()
			c.Close()
			l.ReleaseBudget()
		})
	}
	all.Wait()
	if b.Used() != 0 || b.waiting.Len() != 0 {
		t.Errorf("%d bytes are used, %d appends wait", b.Used(), b.waiting.Len())
	}
}

// TestReclaimBeforeEviction checks that an append that exceeds the budget lets reclaim make room, before
// its own log loses anything.
func TestReclaimBeforeEviction(t *testing.T) {
	var others *Log
	b := NewBudget(8*minShare, func(*Account) { others.Evict() })
	others = NewLog(LogOptions{Bound: 1 << 20, Account: b.Open("")})
	l := NewLog(LogOptions{Bound: 1 << 20, Account: b.Open("")})
	for _, x := range []*Log{others, l} {
		for range 5 * minShare / pageSize {
			x.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
		}
	}
	if oldest, _ := l.Bounds(); oldest != 0 {
		t.Errorf("the log begins at %d", oldest)
	}
	if oldest, _ := others.Bounds(); oldest == 0 {
		t.Error("nothing was reclaimed")
	}
}
