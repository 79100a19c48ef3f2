package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many threads the Go runtime has from the start. The runtime aborts the
// process if it needs another one and clone(2) fails, for example because a session has used up all
// process ids. Ending a session needs a thread for each system call that takes long, and each of
// these calls frees process ids.
const spareThreads = 32

// startThreads makes the runtime start spareThreads threads. The runtime keeps idle threads.
func startThreads() {
	var started, done sync.WaitGroup
	started.Add(spareThreads)
	for range spareThreads {
		done.Go(func() {
			runtime.LockOSThread() // so that each goroutine needs a thread
			defer runtime.UnlockOSThread()
			started.Done()
			started.Wait()
		})
	}
	done.Wait()
}
