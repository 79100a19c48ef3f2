package stream

import (
	"sync/atomic"
	"time"
)

// outputTurn is how long a goroutine works on output before it waits for its next turn.
const outputTurn = 250 * time.Microsecond

// turn is that of a [Reader] or a [Cursor] to work on output of an owner. There are turns only while
// several owners are active. Those of one owner begin at a distance, so that together they use an
// even part of half of the processors, or of all of them if every active owner has as much output.
// An owner with much output would otherwise use all processors: the goroutines of the others would
// wait behind all of its own, and the runtime polls the kernel in time only while a processor is idle.
type turn struct {
	account    *Account // nil if there are never turns
	line       *turnLine
	begin, end int64 // by Budget.now; 0 if there is no turn
	distance   int64 // to the next turn in the line
	waiting    bool  // for begin
}

// turnLine is the order of the turns of one owner.
type turnLine struct {
	next atomic.Int64 // when the next one may begin, by Budget.now
}

// newTurn returns a turn to work on output of an owner, or only to watch it, which delays no other
// work on it.
func newTurn(a *Account, watch bool) turn {
	switch {
	case a == nil:
		return turn{}
	case watch:
		return turn{account: a, line: &a.watch}
	default:
		return turn{account: a, line: &a.output}
	}
}

// enter begins a turn, unless one lasts. It returns how long that has to wait; the caller then calls
// enter again.
func (t *turn) enter() time.Duration {
	if t.account == nil {
		return 0
	}
	owners := t.account.activeOwners()
	if owners == 1 {
		t.reset()
		return 0
	}
	now := t.account.budget.now()
	switch {
	case t.waiting && now < t.begin:
	case t.waiting: // it may be late
		t.begin, t.end, t.waiting = now, now+int64(outputTurn), false
	case now >= t.end:
		t.distance = t.account.budget.turnDistance(now, owners)
		t.begin = t.line.reserve(now, t.distance)
		t.end = t.begin + int64(outputTurn)
		t.waiting = t.begin > now
	}
	return time.Duration(max(t.begin-now, 0))
}

// turnDistance returns the distance between two turns of one of so many active owners.
func (b *Budget) turnDistance(now, owners int64) int64 {
	distance := int64(outputTurn) * owners / b.processors
	if b.activity.allBusy(now) {
		return distance
	}
	return 2 * distance
}

// reserve returns when a turn begins, at the earliest now. The next one does not begin before that
// distance has passed.
func (l *turnLine) reserve(now, distance int64) (begin int64) {
	for {
		next := l.next.Load()
		begin = max(next, now)
		if l.next.CompareAndSwap(next, begin+distance) {
			return begin
		}
	}
}

// leave ends the turn before its time, or before it begins, because there is nothing more to do. The
// next turns in the line begin earlier by what is left of it.
func (t *turn) leave() {
	if t.end == 0 {
		return
	}
	left := int64(outputTurn)
	if !t.waiting {
		left = max(t.end-t.account.budget.now(), 0)
	}
	t.line.next.Add(-t.distance * left / int64(outputTurn))
	t.reset()
}

func (t *turn) reset() { t.begin, t.end, t.waiting = 0, 0, false }
