package spool

import (
	"container/list"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

const (
	// maxLoading is how many reads of output are in progress at once. Others wait for them.
	maxLoading = 8
	// maxLoaded is how many loaded parts of output are in memory, each of at most one block. Beyond it
	// the one that was loaded first is given up: its reader loads it again.
	maxLoaded = 64
	// loadTimeout is how long a read may take before its output counts as unreadable.
	loadTimeout = 10 * time.Second
)

// loader reads output for cursors, in goroutines that exist only while there is something to read.
type loader struct {
	mu      sync.Mutex
	waiting list.List // of *load
	loading int
	loaded  list.List // of *load, first loaded first
	ended   time.Time // when the newest read ended
	closed  bool
	wg      sync.WaitGroup
}

// load is one read. The loader's lock protects its fields.
type load struct {
	loader  *loader
	read    func() (*stream.Loaded, error)
	done    func(*stream.Loaded, error)
	revoked func()
	next    int64         // from where on output is read if this read takes too long
	element *list.Element // of waiting or loaded, or nil
	ended   bool          // canceled, released, or done was called with an error
	loaded  bool          // done was or is about to be called with a result
	timer   *time.Timer
}

// start begins a read.
func (l *loader) start(x *load) stream.Load {
	x.loader = l
	l.mu.Lock()
	defer l.mu.Unlock()
	x.timer = time.AfterFunc(loadTimeout, x.timeout)
	switch {
	case l.closed:
		x.timer.Reset(0)
	case l.loading < maxLoading:
		l.loading++
		l.wg.Go(func() { l.run(x) })
	default:
		x.element = l.waiting.PushBack(x)
	}
	return x
}

// run reads for x, and then for those that wait.
func (l *loader) run(x *load) {
	for x != nil {
		l.do(x)
		x = l.next()
	}
}

// next returns the next read, or nil if none waits.
func (l *loader) next() *load {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.waiting.Front()
	if e == nil {
		l.loading--
		return nil
	}
	x := l.waiting.Remove(e).(*load)
	x.element = nil
	return x
}

// close gives up all reads that wait or begin later. The others are waited for with wg.
func (l *loader) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for e := l.waiting.Front(); e != nil; e = l.waiting.Front() {
		x := l.waiting.Remove(e).(*load)
		x.element = nil
		x.timer.Reset(0)
	}
}

// do reads, unless that was given up.
func (l *loader) do(x *load) {
	loaded, err := x.read()
	x.timer.Stop()
	l.mu.Lock()
	l.ended = time.Now()
	l.mu.Unlock()
	if err != nil {
		if x.end() {
			x.done(nil, err)
		}
		return
	}
	free := loaded.Release
	loaded.Release = func() {
		x.Cancel()
		free()
	}
	var victim *load
	l.mu.Lock()
	if x.ended {
		l.mu.Unlock()
		free()
		return
	}
	x.loaded, x.element = true, l.loaded.PushBack(x)
	if l.loaded.Len() > maxLoaded {
		e := l.loaded.Front()
		victim = l.loaded.Remove(e).(*load)
		victim.element, victim.ended = nil, true
	}
	l.mu.Unlock()
	x.done(loaded, nil)
	if victim != nil {
		victim.revoked()
	}
}

// timeout gives up a read that takes too long. One that waits for others goes on waiting while these make
// progress.
func (x *load) timeout() {
	l := x.loader
	l.mu.Lock()
	waits := x.element != nil && !x.loaded && !l.closed && time.Since(l.ended) < loadTimeout
	if waits {
		x.timer.Reset(loadTimeout)
	}
	l.mu.Unlock()
	if !waits && x.end() {
		x.done(nil, &stream.UnreadableError{Next: x.next, Err: ErrStalled})
	}
}

// end ends a read that is not done, and reports whether it was.
func (x *load) end() bool {
	x.loader.mu.Lock()
	defer x.loader.mu.Unlock()
	if x.ended || x.loaded {
		return false
	}
	x.ended = true
	return true
}

// Cancel gives up a read, or releases what it has loaded.
func (x *load) Cancel() {
	l := x.loader
	x.timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.element != nil {
		l.waiting.Remove(x.element) // no effect on an element of another list
		l.loaded.Remove(x.element)
		x.element = nil
	}
	x.ended = true
}
