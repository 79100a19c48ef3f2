package stream

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

// newAccountLog is newBudgetLog for an owner.
func newAccountLog(b *Budget, owner string) *budgetLog {
	l := NewLog(LogOptions{Bound: 1 << 20, Account: b.Open(owner)})
	return &budgetLog{Log: l, slow: l.NewCursor(CursorOptions{Block: true})}
}

const boundPages = 1<<20/(pageSize+entryOverhead) + 1 // pages in a log that waits at its bound

// TestAnOwnerKeepsItsShare checks that an owner whose logs are read by nobody cannot take what is
// guaranteed to another, and that all logs together stay within the budget.
func TestAnOwnerKeepsItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 8 << 20
		b := NewBudget(limit, func(*Account) {})
		b.Divide(BudgetShares{Guaranteed: map[string]int64{"a": limit / 4, "b": limit / 4}})
		var logs []*budgetLog
		for range 10 {
			l := newAccountLog(b, "a")
			l.fill(2 * boundPages)
			logs = append(logs, l)
		}
		most := int64(limit*3/4 + 10*(minShare+pageSize))
		if used := logs[0].account.Used(); used < limit*3/4 || used > most {
			t.Errorf("a holds %d of %d", used, limit)
		}
		l := newAccountLog(b, "b")
		l.fill(2 * boundPages)
		if n := l.pages.Load(); n != boundPages {
			t.Errorf("a log of b waits after %d pages, want %d", n, boundPages)
		}
		for _, l := range append(logs, l) {
			l.Unblock()
			l.slow.Close()
			synctest.Wait()
			l.ReleaseBudget()
		}
		if used := b.Used(); used != 0 || b.waiting.Len() != 0 {
			t.Errorf("%d bytes are used, %d wait", used, b.waiting.Len())
		}
		if len(b.accounts) != 2 {
			t.Errorf("%d accounts", len(b.accounts))
		}
		b.Divide(BudgetShares{})
		if len(b.accounts) != 0 {
			t.Errorf("%d accounts without logs", len(b.accounts))
		}
	})
}

// TestLimitsOfAccounts checks that the logs of an owner, and of a group, wait at their limit, and
// continue when it is raised.
func TestLimitsOfAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(64<<20, func(*Account) {})
		b.Divide(BudgetShares{
			Limits:  map[string]int64{"a": minShare},
			Groups:  map[string]int64{"g": minShare},
			GroupOf: map[string]string{"x": "g", "y": "g"},
		})
		var logs []*budgetLog
		for _, owner := range []string{"a", "x", "y", "other"} {
			l := newAccountLog(b, owner)
			l.fill(boundPages - 1)
			want := int64(sharePages)
			if owner == "other" {
				want = boundPages - 1
			}
			if n := l.pages.Load(); n != want {
				t.Errorf("%s: %d pages, want %d", owner, n, want)
			}
			logs = append(logs, l)
		}
		b.Divide(BudgetShares{})
		synctest.Wait()
		for i, l := range logs {
			if n := l.pages.Load(); n != boundPages-1 {
				t.Errorf("%d: %d pages after the limits are gone", i, n)
			}
		}
	})
}

// TestAccountsAddUp charges and divides at random, and checks that nothing is charged at the end.
func TestAccountsAddUp(t *testing.T) {
	b := NewBudget(4*minShare, func(*Account) {})
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			for range 300 {
				l := NewLog(LogOptions{Bound: 2 * minShare, Account: b.Open(string(rune('a' + random.IntN(4))))})
				for range random.IntN(20) {
					l.Append(Piece{Kind: Stdout, Data: make([]byte, random.IntN(MaxPiece)), Sealed: true})
				}
				if random.IntN(10) == 0 {
					b.Divide(BudgetShares{Guaranteed: map[string]int64{"a": random.Int64N(4 * minShare)}, Limits: map[string]int64{"b": random.Int64N(minShare)}})
				}
				l.ReleaseBudget()
			}
		})
	}
	all.Wait()
	b.Divide(BudgetShares{})
	if used := b.Used(); used != 0 || len(b.accounts) != 0 {
		t.Errorf("%d bytes are used, %d accounts", used, len(b.accounts))
	}
}
