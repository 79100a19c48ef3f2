package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// maxGarbage, in bytes, and garbageShare, a share of the memory in use, together bound the garbage that waits for a
	// collection. By default the runtime lets as much wait as is in use (GOGC=100), which doubles the memory of full logs.
	maxGarbage   = 16 << 20
	garbageShare = 8
	// gcStep is the least change of GOGC, in percent, that is worth a stop of the world.
	gcStep = 5
)

// boundGarbage keeps garbage within its bound until stop is called. It changes nothing while little memory is in use, or
// if the operator has set GOGC.
func boundGarbage() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	set := 100
	return afterCollections(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if p := gcPercent(live[0].Value.Uint64()); p-set >= gcStep || set-p >= gcStep {
			set = p
			debug.SetGCPercent(p)
		}
	})
}

// gcPercent is GOGC for so many bytes in use.
func gcPercent(live uint64) int {
	return int(min(100, 100/garbageShare+100*maxGarbage/max(live, 1)))
}

// afterCollections calls f after each collection, in the runtime's goroutine for finalizers, until stop is called.
func afterCollections(f func()) (stop func()) {
	type sentinel struct{ _ *byte }
	var stopped atomic.Bool
	var arm func()
	arm = func() {
		runtime.SetFinalizer(new(sentinel), func(*sentinel) {
			if !stopped.Load() {
				f()
				arm()
			}
		})
	}
	arm()
	return func() { stopped.Store(true) }
}
