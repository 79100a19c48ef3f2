package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many threads the runtime has from the start. The runtime aborts the process if it needs another one and
// the kernel refuses it, for example because a session has taken all process ids. Ending a session needs one thread for each
// system call that takes long, and each of these calls frees process ids.
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
