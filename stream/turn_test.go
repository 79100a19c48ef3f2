package stream

import (
	"bytes"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// newOwners returns a budget on two processors, and the accounts of two owners with a log each.
func newOwners() (b *Budget, one, other *Account) {
	b = NewBudget(1<<30, func(*Account) {})
	b.processors = 2
	return b, b.Open("one"), b.Open("other")
}

// checkTurns enters turns that follow each other, and checks how long each waits.
func checkTurns(t *testing.T, what string, want time.Duration, turns ...*turn) {
	t.Helper()
	for i, x := range turns {
		if wait := x.enter(); wait != time.Duration(i)*want {
			t.Errorf("%s: turn %d waits %v, want %v", what, i, wait, time.Duration(i)*want)
		}
	}
}

func newTurns(a *Account, n int, watch bool) (all []*turn) {
	for range n {
		x := newTurn(a, watch)
		all = append(all, &x)
	}
	return all
}

// TestTurnsOfSeveralOwners checks that turns of an owner follow each other at a distance while
// another one is active, whose own turns, and those that only watch, do not wait for them.
func TestTurnsOfSeveralOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, other := newOwners()
		first := newTurns(one, 4, false)
		checkTurns(t, "an owner with much output", 2*outputTurn, first...)
		checkTurns(t, "what watches it", 2*outputTurn, newTurns(one, 2, true)...)
		busy := newTurns(other, 2, false)
		checkTurns(t, "the other owner", 2*outputTurn, busy...)
		time.Sleep(2 * outputTurn)
		checkTurns(t, "the second one", 0, first[1])
		time.Sleep(outputTurn - 1)
		checkTurns(t, "the second one, before its end", 0, first[1])

		time.Sleep(outputActive / 10)
		checkTurns(t, "late", 0, first[2], first[3])
		checkTurns(t, "late, in the turn", 0, first[2], first[3])
	})
}

// TestTurnsOfBusyOwners checks that owners use all processors together if all have much output.
func TestTurnsOfBusyOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, other := newOwners()
		checkTurns(t, "the first", 0, newTurns(one, 1, false)...)
		checkTurns(t, "the first of the other", 0, newTurns(other, 1, false)...)
		time.Sleep(outputTurn)
		next := newTurns(one, 3, false)
		if wait := []time.Duration{next[0].enter(), next[1].enter()}; wait[0] != outputTurn || wait[1] != 2*outputTurn {
			t.Errorf("turns while both are busy wait %v", wait)
		}
	})
}

// TestTurnsOfOneOwner checks that there are none if a single owner is active.
func TestTurnsOfOneOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, one, other := newOwners()
		time.Sleep(outputActive + 1)
		checkTurns(t, "alone", 0, newTurns(one, 3, false)...)
		if n := b.activity.count.Load(); n != 1 {
			t.Errorf("%d owners are active", n)
		}
		checkTurns(t, "the other one returns", 0, newTurns(other, 1, false)...)
		checkTurns(t, "not alone any more", 2*outputTurn, newTurns(one, 2, false)...)

		again := NewBudget(1<<30, func(*Account) {})
		checkTurns(t, "two logs of the same", 0, append(newTurns(again.Open("one"), 2, false), newTurns(again.Open("one"), 2, false)...)...)
		again.Open("other").close()
		if a := again.Open("other"); again.activity.count.Load() != 2 || a != again.activity.list()[0] && a != again.activity.list()[1] {
			t.Error("an owner that returns counts twice")
		}
	})
}

// TestTurnGivenBack checks that the rest of a turn that ends early is not lost for the owner.
func TestTurnGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, _ := newOwners()
		x := newTurn(one, false)
		x.enter()
		time.Sleep(outputTurn / 10)
		x.leave()
		next := newTurn(one, false)
		if wait := next.enter(); wait != outputTurn/10 {
			t.Errorf("after a tenth of a turn the next one waits %v", wait)
		}
		time.Sleep(outputActive / 10)

		l := NewLog(LogOptions{Bound: 1 << 20, Account: one})
		c := l.NewCursor(CursorOptions{Ready: func() {}})
		l.Append(Piece{Kind: Stdout, Data: []byte("output")})
		for range 3 { // the output, nothing, nothing
			c.Next()
		}
		checkTurns(t, "after a cursor at the end", 0, newTurns(one, 1, false)...)
		time.Sleep(outputActive / 10)
		r := NewReader(&idle{}, l, ReaderOptions{})
		if err := r.Run(); err != syscall.EAGAIN {
			t.Error(err)
		}
		checkTurns(t, "after a reader without data", 0, newTurns(one, 1, false)...)
	})
}

// TestUnusedTurnsAreGivenBack checks that cursors that are closed before their turns begin do not delay
// the next ones, neither of the owner nor of those that only watch.
func TestUnusedTurnsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, watch := range []bool{false, true} {
			_, one, _ := newOwners()
			l := NewLog(LogOptions{Bound: 1 << 20, Account: one})
			l.Append(Piece{Kind: Stdout, Data: []byte("output")})
			for range 100 {
				c := l.NewCursor(CursorOptions{Ready: func() {}, Watch: watch})
				c.Next()
				c.Close()
			}
			next := newTurn(one, watch)
			if wait := next.enter(); wait > 2*outputTurn {
				t.Errorf("watch %v: the next turn waits %v", watch, wait)
			}
		}
	})
}

// TestCursorWaitsForItsTurn checks that a cursor has no output before its turn, calls Ready then, and
// loses nothing; and that events do not wait.
func TestCursorWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, _ := newOwners()
		l := NewLog(LogOptions{Bound: 1 << 20, Account: one})
		var ready atomic.Int64
		c := l.NewCursor(CursorOptions{Ready: func() { ready.Add(1) }})
		closed := l.NewCursor(CursorOptions{Ready: func() { t.Error("a closed cursor is ready") }})
		l.AppendEvent(func(int64, Counts) any { return "event" })
		l.Append(Piece{Kind: Stdout, Data: []byte("output")})
		checkTurns(t, "another one", 0, newTurns(one, 1, false)...)

		if it, ok := c.Next(); !ok || it.Event != "event" {
			t.Fatalf("%+v, %v", it, ok)
		}
		if it, ok := c.Next(); ok {
			t.Fatalf("%+v before the turn", it)
		}
		closed.Advance(1)
		if it, ok := closed.Next(); ok {
			t.Fatalf("%+v before the turn", it)
		}
		closed.Close()
		time.Sleep(2*outputTurn - 1)
		if synctest.Wait(); ready.Load() != 0 {
			t.Error("ready before the turn")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); ready.Load() != 1 {
			t.Errorf("ready %d times", ready.Load())
		}
		if it, ok := c.Next(); !ok || string(it.Data) != "output" {
			t.Errorf("%+v, %v", it, ok)
		}
		time.Sleep(outputActive / 10)
	})
}

// endless is a source that always has data.
type endless struct{ reads atomic.Int64 }

func (s *endless) ReadNow(lend func() []byte) (int, error) {
	s.reads.Add(1)
	time.Sleep(outputTurn)
	return copy(lend(), bytes.Repeat([]byte("x\n"), 100)), nil
}

func (s *endless) TryRead(func() []byte) (int, error) { return 0, io.EOF }

func (s *endless) SetReadDeadline(time.Time) error { return nil }

// idle is a source without data.
type idle struct{ endless }

func (*idle) ReadNow(func() []byte) (int, error) { return 0, syscall.EAGAIN }

// finishing is an endless source whose deadline has passed after Finish.
type finishing struct {
	endless
	r *Reader
}

func (s *finishing) ReadNow(lend func() []byte) (int, error) {
	if s.r.isFinished() {
		return 0, syscall.EAGAIN
	}
	return s.endless.ReadNow(lend)
}

// TestReaderWaitsForItsTurn checks that a reader that has as much output as it can read uses a part of
// the time, and that Finish ends its wait.
func TestReaderWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, _ := newOwners()
		s := &finishing{}
		s.r = NewReader(s, NewLog(LogOptions{Bound: 1 << 20, Account: one}), ReaderOptions{})
		done := make(chan error, 1)
		go func() { done <- s.r.Run() }()
		time.Sleep(100*outputTurn - 1)
		if synctest.Wait(); s.reads.Load() != 50 {
			t.Errorf("%d reads in the time of 100", s.reads.Load())
		}
		for _, x := range newTurns(one, 1000, false) {
			x.enter()
		}
		time.Sleep(2 * outputTurn)
		synctest.Wait()
		begin := time.Now()
		s.r.Finish()
		if err := <-done; err != syscall.EAGAIN || time.Since(begin) != 0 {
			t.Errorf("%v, %v after Finish", err, time.Since(begin))
		}
	})
}
