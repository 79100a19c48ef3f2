package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// The garbage that is not collected yet is at most maxGarbage bytes plus 1/garbageShare of the
	// live heap. With the default of the runtime (GOGC=100) it may be as large as the live heap,
	// which would double the memory of full logs.
	maxGarbage   = 16 << 20
	garbageShare = 8
	// gcStep is the smallest change of GOGC, in percent, that is applied, since each stops the world.
	gcStep = 5
)

// limitGarbage adjusts GOGC to the bound of garbage until stop is called. It does nothing while the
// heap is small, or if GOGC is set in the environment.
func limitGarbage() (stop func()) {
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

// gcPercent returns GOGC for a live heap of so many bytes.
func gcPercent(live uint64) int {
	return int(min(100, 100/garbageShare+100*maxGarbage/max(live, 1)))
}

// afterCollections calls f after each garbage collection, on the goroutine of finalizers, until
// stop is called.
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
