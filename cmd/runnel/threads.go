package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many threads the runtime has from the start. It aborts the process where it needs another one and the
// kernel refuses that, as where the processes of a session have taken all process ids. What ends a session needs one for each
// system call that takes long, and each of those frees some.
const spareThreads = 32

// keepThreads makes the runtime start spareThreads threads. It never ends those that are idle.
func keepThreads() {
	var there, gone sync.WaitGroup
	there.Add(spareThreads)
	for range spareThreads {
		gone.Go(func() {
			runtime.LockOSThread() // each on a thread of its own
			defer runtime.UnlockOSThread()
			there.Done()
			there.Wait()
		})
	}
	gone.Wait()
}
