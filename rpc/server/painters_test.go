package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestPainters: as many screens as permitted are computed at the same time, one for each principal, and whoever
// gives up waiting leaves nothing behind.
func TestPainters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPainters()
		var mu sync.Mutex
		var order []string
		report := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, text)
		}
		enter := func(ctx context.Context, principal string) (leave func()) {
			done := make(chan struct{})
			go func() {
				free, err := p.enter(ctx, principal)
				if err != nil {
					report(principal + " " + err.Error())
					return
				}
				report(principal)
				<-done
				free()
			}()
			synctest.Wait()
			return func() { close(done); synctest.Wait() }
		}
		gaveUp := errors.New("gave up")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := enter(t.Context(), "a")
		second := enter(t.Context(), "a")
		enter(ctx, "a")
		other := enter(t.Context(), "b")
		third := enter(t.Context(), "c")
		enter(ctx, "d")
		if len(order) != maxPaints || order[0] != "a" || order[1] != "b" {
			t.Fatal(order)
		}
		cancel(gaveUp)
		synctest.Wait()
		order = order[:maxPaints]
		first() // c waits longer for the server than the second of a, which waits for the first
		other()
		if len(order) != 4 || order[2] != "c" || order[3] != "a" {
			t.Error(order)
		}
		third()
		second()
		if len(p.running) != 0 || len(p.owners) != 0 {
			t.Errorf("%d running, %d principals", len(p.running), len(p.owners))
		}
	})
}
