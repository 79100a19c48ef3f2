package inputwait

import (
	"sync/atomic"
	"testing"
)

// TestInspectorIsNotBlocked checks that an inspection that does not return delays the callers for a
// bounded time only, and that it is shared.
func TestInspectorIsNotBlocked(t *testing.T) {
	var i Inspector
	var calls atomic.Int32
	release, returned := make(chan struct{}), make(chan struct{})
	blocked := func() bool {
		calls.Add(1)
		defer close(returned)
		<-release
		return true
	}
	for range 2 {
		if i.Do(blocked) {
			t.Error("Do returned true before the inspection has returned")
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d inspections in progress", n)
	}
	close(release)
	<-returned
	in := i.start(func() bool { return true })
	<-in.done
	if !in.result || !i.Do(func() bool { return true }) {
		t.Error("the result of a later inspection is lost")
	}
}

// TestInspectionsAreBounded checks the bound over all inspectors.
func TestInspectionsAreBounded(t *testing.T) {
	for range maxInspections {
		slots <- struct{}{}
	}
	var i Inspector
	if i.Do(func() bool { return true }) {
		t.Error("an inspection beyond the bound was run")
	}
	for range maxInspections {
		<-slots
	}
	if !i.Do(func() bool { return true }) {
		t.Error("no inspection within the bound")
	}
}
