// Package inputwait finds out whether a process is blocked in a system call that waits for a pipe
// or a terminal as its input. On Darwin
// that is not known.
package inputwait

import (
	"sync"
	"time"
)

const (
	// Timeout bounds how long Inspector.Do waits for an inspection.
	Timeout = 100 * time.Millisecond
	// maxInspections bounds the inspections that are in progress in this process.
	maxInspections = 64
)

// slots has an element for each inspection that is in progress.
var slots = make(chan struct{}, maxInspections)

// Inspector runs inspections of one tree, one at a time. A read of the memory or the descriptors of
// another process can block for as long as that process chooses, for example by a FUSE file system
// of its own. So each inspection has a goroutine. The zero value is ready for use. Do may be called
// from any goroutine.
type Inspector struct {
	mu      sync.Mutex
	running *inspection
}

// inspection is shared by all callers of Do that find it in progress.
type inspection struct {
	done   chan struct{}
	result bool // set before done is closed
}

// Do returns the result of inspect, or of an inspection that is in progress. It returns false after
// Timeout, or if too many inspections are in progress.
func (i *Inspector) Do(inspect func() bool) bool {
	in := i.start(inspect)
	if in == nil {
		return false
	}
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	select {
	case <-in.done:
		return in.result
	case <-timer.C:
		return false
	}
}

// start returns the inspection that is in progress, or starts one. It returns nil if there are too
// many.
func (i *Inspector) start(inspect func() bool) *inspection {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running != nil {
		return i.running
	}
	select {
	case slots <- struct{}{}:
	default:
		return nil
	}
	in := &inspection{done: make(chan struct{})}
	i.running = in
	go func() {
		in.result = inspect()
		i.mu.Lock()
		i.running = nil
		i.mu.Unlock()
		<-slots
		close(in.done)
	}()
	return in
}
