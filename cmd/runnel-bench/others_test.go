//go:build linux

package main

import (
	"os/exec"
	"testing"
	"time"
)

func TestBusyTime(t *testing.T) {
	busy, err := busyTime([]byte("cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\ncpu0 1 1\n"))
	if want := 80000321 * 10 * time.Millisecond; err != nil || busy != want {
		t.Errorf("%v instead of %v, %v", busy, want, err)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu 1 x 3 4 5 6 7 8"} {
		if busy, err := busyTime([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, busy)
		}
	}
}

// TestOwnTime checks that the time of children, and of theirs, is not that of others.
func TestOwnTime(t *testing.T) {
	before, err := ownTime()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("sh", "-c", "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); true").Run(); err != nil {
		t.Fatal(err)
	}
	after, err := ownTime()
	if err != nil || after-before < 5*time.Millisecond {
		t.Errorf("%v of a loop in a grandchild, %v", after-before, err)
	}
	m, err := newOthersMeter()
	if err != nil {
		t.Fatal(err)
	}
	if share, err := m.share(); err != nil || share < 0 {
		t.Error(share, err)
	}
}
