package stream

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// blockedLog is a log of a thousand bytes with concurrent appenders. It records the calls of
// OnBlocked.
type blockedLog struct {
	*Log
	calls []bool
}

func newBlockedLog() *blockedLog {
	p := &blockedLog{}
	p.Log = NewLog(LogOptions{Bound: 1000, OnBlocked: func(blocked bool) { p.calls = append(p.calls, blocked) }})
	return p
}

// append appends pages of 100 bytes in a goroutine. The result counts those that were appended.
func (p *blockedLog) append(pages int) *int {
	n := new(int)
	go func() {
		for range pages {
			p.Append(Piece{Kind: Stdout, Data: []byte(strings.Repeat("x", 100)), Sealed: true})
			*n++
		}
	}()
	synctest.Wait()
	return n
}

const (
	// page is what a page is charged.
	page = 100 + entryOverhead
	// fullPages is how many pages are in the log when the next append waits.
	fullPages = (1000 + page - 1) / page
)

func TestAppendWaitsForTheSlowestBlockingCursor(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *blockedLog, slow *Cursor)
		want int // pages of 20
	}{
		{"that reads nothing", func(*blockedLog, *Cursor) {}, fullPages},
		{"that reads less than a quarter", func(_ *blockedLog, slow *Cursor) { slow.Next() }, fullPages},
		{"that reads pages until a quarter is free", func(_ *blockedLog, slow *Cursor) {
			for unread := fullPages * page; unread > 750; unread -= page {
				slow.Next()
			}
		}, fullPages + 3},
		{"that reads everything repeatedly", func(_ *blockedLog, slow *Cursor) {
			for len(take(slow)) > 0 {
				synctest.Wait()
			}
		}, 20},
		{"that is closed", func(_ *blockedLog, slow *Cursor) { slow.Close() }, 20},
		{"until Unblock", func(p *blockedLog, _ *Cursor) { p.Unblock() }, 20},
		{"with a faster blocking cursor", func(p *blockedLog, _ *Cursor) { take(p.NewCursor(CursorOptions{Block: true})) }, fullPages},
		{"with an event", func(p *blockedLog, _ *Cursor) { event(p.Log, "x") }, fullPages},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newBlockedLog()
				slow := p.NewCursor(CursorOptions{Block: true})
				n := p.append(20)
				if *n != fullPages || !cmp.Equal(p.calls, []bool{true}) {
					t.Fatalf("%d pages before Append waits, want %d; OnBlocked was called with %v", *n, fullPages, p.calls)
				}
				c.do(p, slow)
				synctest.Wait()
				if *n != c.want {
					t.Errorf("%d pages, want %d", *n, c.want)
				}
				p.Unblock()
				synctest.Wait()
				checkPairs(t, p.calls)
			})
		})
	}
}

// checkPairs checks that OnBlocked was called with true and false alternately, and last with false.
func checkPairs(t *testing.T, calls []bool) {
	t.Helper()
	for i, b := range calls {
		if b != (i%2 == 0) {
			t.Fatalf("OnBlocked was called with %v", calls)
		}
	}
	if len(calls)%2 != 0 {
		t.Errorf("OnBlocked was called with %v", calls)
	}
}

func TestOnBlockedIsCalledOnceForAllAppenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBlockedLog()
		c := p.NewCursor(CursorOptions{Block: true})
		for range 3 {
			p.append(10)
		}
		if !cmp.Equal(p.calls, []bool{true}) {
			t.Fatalf("OnBlocked was called with %v", p.calls)
		}
		total := 0
		for items := take(c); len(items) > 0; items = take(c) {
			total += len(items)
			synctest.Wait()
		}
		if total != 30 {
			t.Errorf("%d pages read", total)
		}
		checkPairs(t, p.calls)
	})
}

func TestACursorWithoutBlockDoesNotBlockAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBlockedLog()
		blocking, dropping := p.NewCursor(CursorOptions{Block: true}), p.NewCursor(CursorOptions{})
		n := p.append(20)
		var got int
		for items := take(blocking); len(items) > 0; items = take(blocking) {
			for _, it := range items {
				got += len(it.Data)
			}
			synctest.Wait()
		}
		if *n != 20 || got != 2000 {
			t.Errorf("%d pages written, %d bytes read", *n, got)
		}
		items := take(dropping)
		want := fmt.Sprintf("0-%d gap(%d)", items[0].To, items[0].To)
		if show(items)[0] != want || len(flat(items)) != 2000 || len(items) != 1+fullPages {
			t.Errorf("the other cursor read %v", show(items))
		}
	})
}

// TestOverrun checks that events, and output after Unblock, evict nothing that a blocking cursor
// has not read, up to maxOverrun.
func TestOverrun(t *testing.T) {
	page := strings.Repeat("x", MaxPiece)
	for name, next := range map[string]func(l *Log){
		"after Unblock": func(l *Log) { l.Append(Piece{Kind: Stdout, Data: []byte(page), Sealed: true}) },
		"events":        func(l *Log) { event(l, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLog(LogOptions{Bound: 1000})
			c := l.NewCursor(CursorOptions{Block: true})
			first := event(l, "first")
			l.Unblock()
			for l.end.charge < maxOverrun-MaxPiece {
				next(l)
			}
			if oldest, _ := l.Bounds(); oldest != 0 {
				t.Fatalf("with %d charged bytes the oldest position is %d", l.end.charge, oldest)
			}
			for l.end.charge < 2*maxOverrun {
				next(l)
			}
			kept := l.end.charge - l.oldest.charge
			if kept < 1000+maxOverrun || kept > 1000+maxOverrun+MaxPiece+entryOverhead {
				t.Errorf("%d charged bytes kept", kept)
			}
			items := take(c)
			if it := items[0]; !it.Gap || it.From != 0 || it.To < first {
				t.Errorf("the first item is %+v", it)
			}
			if _, head := l.Bounds(); items[len(items)-1].To != head {
				t.Error("the last item does not end at the end of the log")
			}
			next(l)
			if kept := l.end.charge - l.oldest.charge; kept > 1000+MaxPiece+entryOverhead {
				t.Errorf("%d charged bytes kept that no cursor needs", kept)
			}
		})
	}
}

// TestAWaitingAppendIsAlwaysWoken sends pieces of all sizes through logs with all kinds of bounds,
// to a cursor with and without a window. synctest fails if both sides wait.
func TestAWaitingAppendIsAlwaysWoken(t *testing.T) {
	const total = 300_000
	for _, bound := range []int64{1, 100, 4096, minShare - 1, minShare + 1, 1 << 20} {
		for _, size := range []int{1, 99, 5000, MaxPiece} {
			for _, window := range []int64{0, 1, 7000} {
				if window == 1 && size > 1 {
					continue // it takes long, and is the same as for a size of 1
				}
				t.Run(fmt.Sprint(bound, size, window), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := NewLog(LogOptions{Bound: bound, Account: NewBudget(minShare/2, func(*Account) {}).Open("")})
						ready := make(chan struct{}, 1)
						c := l.NewCursor(CursorOptions{Block: true, Window: window, Ready: func() { ready <- struct{}{} }})
						n := total
						if size == 1 {
							n /= 100
						}
						go func() {
							for i := 0; i < n; i += size {
								l.Append(Piece{Kind: Stdout, Data: make([]byte, min(size, n-i)), Sealed: i%2 == 0})
							}
						}()
						for got := 0; got < n; {
							it, ok := c.Next()
							if !ok && window > 0 {
								c.Ack(c.Seq())
							}
							if !ok {
								<-ready
							}
							got += len(it.Data)
						}
					})
				})
			}
		}
	}
}

// TestABlockingCursorThatSkipsOutput checks that output that it has skipped blocks no append.
func TestABlockingCursorThatSkipsOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBlockedLog()
		ready := make(chan struct{}, 1)
		c := p.NewCursor(CursorOptions{Block: true, EventsOnly: true, Ready: func() { ready <- struct{}{} }})
		n := 0
		go func() {
			for range 50 {
				put(p.Log, Stdout, strings.Repeat("x", 100)) // joined to the newest entry
				n++
			}
		}()
		synctest.Wait() // only then n may be read
		for n < 50 {
			if items := take(c); len(items) > 0 {
				t.Fatalf("read %v", show(items))
			}
			synctest.Wait()
			select {
			case <-ready:
			default:
				if n < 50 {
					t.Fatalf("stuck after %d pages", n)
				}
			}
		}
	})
}
