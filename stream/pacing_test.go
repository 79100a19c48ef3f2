package stream

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// paced is a log of a thousand bytes whose appenders run beside the test, and what blocked was told.
type paced struct {
	*Log
	told []bool
}

func newPaced() *paced {
	p := &paced{}
	p.Log = NewLog(LogOptions{Bound: 1000, Blocked: func(blocked bool) { p.told = append(p.told, blocked) }})
	return p
}

// append puts pages of 100 bytes, by an appender of its own, and says how many there are after a while.
func (p *paced) append(pages int) *int {
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

// full is how many pages are in the log when the next one waits.
const full = (1000 + 100 + entryOverhead - 1) / (100 + entryOverhead)

func TestAppendWaitsForTheSlowestPacingCursor(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *paced, slow *Cursor)
		want int // pages of 20
	}{
		{"that does nothing", func(*paced, *Cursor) {}, full},
		{"that takes a page", func(_ *paced, slow *Cursor) { slow.Next() }, full + 1},
		{"that takes all, again and again", func(_ *paced, slow *Cursor) {
			for len(take(slow)) > 0 {
				synctest.Wait()
			}
		}, 20},
		{"that is closed", func(_ *paced, slow *Cursor) { slow.Close() }, 20},
		{"until the log is set free", func(p *paced, _ *Cursor) { p.Free() }, 20},
		{"whatever a faster one does", func(p *paced, _ *Cursor) { take(p.NewCursor(CursorOptions{Paces: true})) }, full},
		{"whatever events come", func(p *paced, _ *Cursor) { event(p.Log, "x") }, full},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced()
				slow := p.NewCursor(CursorOptions{Paces: true})
				n := p.append(20)
				if *n != full || !cmp.Equal(p.told, []bool{true}) {
					t.Fatalf("%d pages before it waits, want %d; blocked was told %v", *n, full, p.told)
				}
				c.do(p, slow)
				synctest.Wait()
				if *n != c.want {
					t.Errorf("%d pages, want %d", *n, c.want)
				}
				p.Free()
				synctest.Wait()
				checkPairs(t, p.told)
			})
		})
	}
}

// checkPairs wants blocked to have been told on and off by turns, and off at the end.
func checkPairs(t *testing.T, told []bool) {
	t.Helper()
	for i, b := range told {
		if b != (i%2 == 0) {
			t.Fatalf("blocked was told %v", told)
		}
	}
	if len(told)%2 != 0 {
		t.Errorf("blocked was told %v", told)
	}
}

func TestBlockedIsToldOnceForAllAppenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced()
		c := p.NewCursor(CursorOptions{Paces: true})
		for range 3 {
			p.append(10)
		}
		if !cmp.Equal(p.told, []bool{true}) {
			t.Fatalf("blocked was told %v", p.told)
		}
		total := 0
		for items := take(c); len(items) > 0; items = take(c) {
			total += len(items)
			synctest.Wait()
		}
		if total != 30 {
			t.Errorf("%d pages taken", total)
		}
		checkPairs(t, p.told)
	})
}

func TestADroppingCursorHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced()
		paces, drops := p.NewCursor(CursorOptions{Paces: true}), p.NewCursor(CursorOptions{})
		n := p.append(20)
		var got int
		for items := take(paces); len(items) > 0; items = take(paces) {
			for _, it := range items {
				got += len(it.Data)
			}
			synctest.Wait()
		}
		if *n != 20 || got != 2000 {
			t.Errorf("%d pages written, %d bytes taken", *n, got)
		}
		items := take(drops)
		want := fmt.Sprintf("0-%d gap(%d)", items[0].To, items[0].To)
		if show(items)[0] != want || len(flat(items)) != 2000 || len(items) != 1+full {
			t.Errorf("the other one got %v", show(items))
		}
	})
}

// What need not wait for a cursor does not cost it anything either, up to the overrun.
func TestOverrun(t *testing.T) {
	page := strings.Repeat("x", MaxPiece)
	for name, next := range map[string]func(l *Log){
		"after Free": func(l *Log) { l.Append(Piece{Kind: Stdout, Data: []byte(page), Sealed: true}) },
		"events":     func(l *Log) { event(l, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLog(LogOptions{Bound: 1000})
			c := l.NewCursor(CursorOptions{Paces: true})
			first := event(l, "first")
			l.Free()
			for l.head.charge < overrun-MaxPiece {
				next(l)
			}
			if oldest, _ := l.Bounds(); oldest != 0 {
				t.Fatalf("with %d charged bytes in it the log begins at %d", l.head.charge, oldest)
			}
			for l.head.charge < 2*overrun {
				next(l)
			}
			kept := l.head.charge - l.oldest.charge
			if kept < 1000+overrun || kept > 1000+overrun+MaxPiece+entryOverhead {
				t.Errorf("%d charged bytes kept", kept)
			}
			items := take(c)
			if it := items[0]; !it.Gap || it.From != 0 || it.To < first {
				t.Errorf("begins with %+v", it)
			}
			if _, head := l.Bounds(); items[len(items)-1].To != head {
				t.Error("does not reach the end")
			}
			next(l)
			if kept := l.head.charge - l.oldest.charge; kept > 1000+MaxPiece+entryOverhead {
				t.Errorf("%d charged bytes kept for nobody", kept)
			}
		})
	}
}

// A cursor without output paces too, by what it looked at.
func TestAPacingCursorThatTakesNoOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced()
		ready := make(chan struct{}, 1)
		c := p.NewCursor(CursorOptions{Paces: true, EventsOnly: true, Ready: func() { ready <- struct{}{} }})
		n := 0
		go func() {
			for range 50 {
				put(p.Log, Stdout, strings.Repeat("x", 100)) // joined to an entry that grows
				n++
			}
		}()
		synctest.Wait() // only then n may be read
		for n < 50 {
			if items := take(c); len(items) > 0 {
				t.Fatalf("took %v", show(items))
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
