package budget

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestOrder: as many units as permitted are held, one by each principal, and whoever gives up waiting leaves nothing
// behind.
func TestOrder(t *testing.T) {
	const all = 2
	synctest.Test(t, func(t *testing.T) {
		b := New(all, 1)
		var mu sync.Mutex
		var order []string
		report := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, text)
		}
		take := func(ctx context.Context, principal string) (release func()) {
			done := make(chan struct{})
			go func() {
				held, err := b.Take(ctx, principal, 1)
				if err != nil {
					report(principal + " " + err.Error())
					return
				}
				report(principal)
				<-done
				held.Release()
			}()
			synctest.Wait()
			return func() { close(done); synctest.Wait() }
		}
		gaveUp := errors.New("gave up")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := take(t.Context(), "a")
		second := take(t.Context(), "a")
		take(ctx, "a")
		other := take(t.Context(), "b")
		third := take(t.Context(), "c")
		take(ctx, "d")
		if len(order) != all || order[0] != "a" || order[1] != "b" {
			t.Fatal(order)
		}
		cancel(gaveUp)
		synctest.Wait()
		order = order[:all]
		first() // c waits longer for the server than the second of a, which waits for the first
		other()
		if len(order) != 4 || order[2] != "c" || order[3] != "a" {
			t.Error(order)
		}
		third()
		second()
		if !b.all.TryAcquire(all) || len(b.shares) != 0 {
			t.Errorf("units are held; %d principals", len(b.shares))
		}
	})
}

// TestResize: more units are taken only if they are free, and Release returns them all.
func TestResize(t *testing.T) {
	b := New(10, 6)
	take := func(principal string, n int64) *Held {
		h, err := b.Take(t.Context(), principal, n)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, other := take("a", 2), take("b", 3)
	for _, c := range []struct {
		n  int64
		ok bool
	}{{7, false}, {6, true}, {8, false}, {1, true}, {5, true}} {
		if before := first.Units(); first.Resize(c.n) != c.ok || !c.ok && first.Units() != before || c.ok && first.Units() != c.n {
			t.Errorf("to %d: %d units, want %v", c.n, first.Units(), c.ok)
		}
	}
	if other.Resize(6) || other.Units() != 3 { // 2 are free, and 3 missing
		t.Error("more units than there are")
	}
	if !other.Resize(5) {
		t.Error("the units of all are not used up to the last")
	}
	first.Release()
	other.Release()
	if !b.all.TryAcquire(10) || len(b.shares) != 0 {
		t.Errorf("units are held; %d principals", len(b.shares))
	}
}
