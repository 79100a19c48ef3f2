//go:build linux

package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestAfterStartRemove: a function that was removed is not kept and not called, and the others are
// called in order. Removing is possible at any time.
func TestAfterStartRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{MaxSessions: 1})
		release := slotFor(t, r, "a", "slot")
		s := reserve(t, r, waitsFor("a", "waiting", time.Hour))
		s.Begin()
		var called []int
		var removes []func()
		for i := range 5 {
			remove, deferred := s.AfterStart(func() {
				called = append(called, i)
				if i == 2 {
					removes[3]()
				}
			})
			if !deferred {
				t.Fatal("not deferred")
			}
			removes = append(removes, remove)
		}
		for range 2 {
			removes[1]()
		}
		if n := s.status.start.deferred.Len(); n != 4 {
			t.Errorf("%d functions are kept", n)
		}
		release()
		<-s.Done()
		synctest.Wait()
		if !slices.Equal(called, []int{0, 2, 4}) {
			t.Errorf("called %v", called)
		}
		removes[0]()
		if remove, deferred := s.AfterStart(func() { t.Error("called") }); deferred {
			t.Error("deferred after the start")
		} else {
			remove()
		}
		if n := s.status.start.deferred.Len(); n != 0 {
			t.Errorf("%d functions are left", n)
		}
		checkEmpty(t, r)
	})
}
