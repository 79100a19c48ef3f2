package stream

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// sharer is a log with a budget, held up by a cursor that takes nothing, and how often a page came in.
type sharer struct {
	*Log
	slow  *Cursor
	pages atomic.Int64
}

const (
	pageSize = 16 << 10
	shared   = minShare/(pageSize+entryOverhead) + 1 // pages in a log that is held up by its share
)

func newSharer(b *Budget) *sharer {
	l := NewLog(LogOptions{Bound: 1 << 20, Budget: b})
	return &sharer{Log: l, slow: l.NewCursor(CursorOptions{Paces: true})}
}

// fill appends pages beside the test until the log holds it up.
func (s *sharer) fill(pages int) {
	go func() {
		for range pages {
			s.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
			s.pages.Add(1)
		}
	}()
	synctest.Wait()
}

// An append that waits because the budget was exceeded goes on when it is not any more, whatever its own reader does;
// so do all that wait, as far as there is room for them.
func TestAppendGoesOnWhenTheBudgetIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(5*minShare, func() {})
		others := NewLog(LogOptions{Bound: 1 << 20, Budget: b})
		for range 5*minShare/pageSize + 1 {
			others.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
		}
		var waiting []*sharer
		for range 3 {
			s := newSharer(b)
			s.fill(shared + 2)
			if n := s.pages.Load(); n != shared {
				t.Fatalf("%d pages before it waits, want %d", n, shared)
			}
			waiting = append(waiting, s)
		}
		greedy := newSharer(b)
		greedy.fill(1 << 20 / pageSize * 2)
		others.Leave()
		synctest.Wait()
		for i, s := range waiting {
			if n := s.pages.Load(); n != shared+2 {
				t.Errorf("%d has appended %d pages, want %d", i, n, shared+2)
			}
		}
		if used := b.Used(); !b.Exceeded() || used > b.limit+2*pageSize {
			t.Errorf("%d of %d are used", used, b.limit)
		}
		if n := b.waiting.Len(); n != 1 {
			t.Errorf("%d wait, want the greedy one", n)
		}
		greedy.Free()
		synctest.Wait()
		if n := b.waiting.Len(); n != 0 || greedy.waiting != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// A log that is at its own bound leaves what is free of the budget to the next.
func TestTurnIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(6*minShare, func() {})
		others := NewLog(LogOptions{Bound: 1 << 20, Budget: b})
		for range 6*minShare/pageSize + 1 {
			others.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
		}
		first, second := newSharer(b), newSharer(b)
		first.bound = shared*(pageSize+entryOverhead) + 1 // the share holds it up now, and its bound with one page more
		first.fill(20)
		first.fill(20)
		second.fill(20)
		if first.waiting != 2 || b.waiting.Len() != 3 {
			t.Fatalf("%d appenders of %d wait", first.waiting, b.waiting.Len())
		}
		others.Leave()
		synctest.Wait()
		if n := first.pages.Load(); n != shared+1 {
			t.Errorf("the first has %d pages, want %d", n, shared+1)
		}
		if n := second.pages.Load(); n != 20 {
			t.Errorf("the second has %d pages, want all 20", n)
		}
		first.Free()
		second.Free()
		synctest.Wait()
	})
}

// Output waits behind an event that is being made; the event does not.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced()
		release, second := p.Hold(), p.Hold()
		n := p.append(1)
		seq := event(p.Log, "x")
		second()
		synctest.Wait()
		if *n != 0 || seq != 1 {
			t.Errorf("%d pages; the event lies at %d", *n, seq)
		}
		release()
		synctest.Wait()
		if *n != 1 {
			t.Errorf("%d pages", *n)
		}
		checkPairs(t, p.told)
	})
}

// However logs and readers come and go, everything gets on.
func TestBudgetUnderConcurrentUse(t *testing.T) {
	b := NewBudget(4*minShare, func() {})
	page := bytes.Repeat([]byte("x"), pageSize)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			ready := make(chan struct{}, 1)
			l := NewLog(LogOptions{Bound: 2 * minShare, Budget: b})
			c := l.NewCursor(CursorOptions{Paces: true, Ready: func() { ready <- struct{}{} }})
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
			l.Leave()
		})
	}
	all.Wait()
	if b.Used() != 0 || b.waiting.Len() != 0 {
		t.Errorf("%d bytes, %d wait", b.Used(), b.waiting.Len())
	}
}
