package spool

import (
	"sync"
	"time"
)

// stallAfter is how long an operation on the disk may take before the sessions that wait for it go
// on without the spool.
const stallAfter = time.Second

// tasks are what a worker has to do for a session.
type tasks uint8

const (
	taskStart  tasks = 1 << iota // write the start to the journal
	taskSave                     // write new output to the window
	taskStore                    // write a block to the output file
	taskShrink                   // remove the older half of the output file
	taskFinish                   // write the rest of the output
	taskRecord                   // write the record to the journal
	taskRemove                   // write to the journal that the session is removed
	taskClose                    // close the output file
)

// work is what a worker has to do for one session.
type work struct {
	s *Session
	tasks
}

// worker is a goroutine that writes for sessions, which wait in a queue. While one of its
// operations takes longer than stallAfter it is stalled, and refuses sessions.
type worker struct {
	slot int                   // index of Session.pending
	do   func(*worker, []work) // does the work, with each operation on the disk in op
	fail func(*Session)        // is called for each session that waits when the worker is stalled

	mu      sync.Mutex
	queue   []*Session
	calls   []func()
	working []work    // that do was called for
	began   time.Time // of the operation; zero between operations
	stalled bool
	closed  bool
	wake    chan struct{}
	watch   *time.Timer   // runs during an operation
	done    chan struct{} // closed when the goroutine has ended
}

func newWorker(slot int, do func(*worker, []work), fail func(*Session)) *worker {
	w := &worker{slot: slot, do: do, fail: fail, wake: make(chan struct{}, 1), done: make(chan struct{})}
	w.watch = time.AfterFunc(time.Hour, w.stall)
	w.watch.Stop()
	go w.run()
	return w
}

// add gives the worker something to do for a session. It returns false if the worker is stalled or
// closed. It does not block, and may be called with the lock of a log held.
func (w *worker) add(s *Session, t tasks) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled || w.closed {
		return false
	}
	if s.pending[w.slot] == 0 {
		w.queue = append(w.queue, s)
	}
	s.pending[w.slot] |= t
	w.signal()
	return true
}

// call makes the worker call f, and waits for that. It returns false if the worker is stalled or
// closed; then f may be called later, or never.
func (w *worker) call(f func()) bool {
	done := make(chan struct{})
	w.mu.Lock()
	if w.stalled || w.closed {
		w.mu.Unlock()
		return false
	}
	w.calls = append(w.calls, func() { f(); close(done) })
	w.signal()
	w.mu.Unlock()
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// callTimeout is how long a call waits for the worker.
const callTimeout = 5 * time.Second

// signal wakes the goroutine.
func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// isStalled reports whether the worker refuses sessions because of the disk.
func (w *worker) isStalled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stalled
}

// run is the goroutine.
func (w *worker) run() {
	defer close(w.done)
	for range w.wake {
		batch, calls, closed := w.take()
		if len(batch) > 0 {
			w.do(w, batch)
		}
		for _, f := range calls {
			f()
		}
		if closed && len(batch)+len(calls) == 0 {
			return
		}
	}
}

// take returns what is to be done, and whether the worker is closed.
func (w *worker) take() (batch []work, calls []func(), closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.working)
	batch = w.working[:0]
	for _, s := range w.queue {
		batch = append(batch, work{s, s.pending[w.slot]})
		s.pending[w.slot] = 0
	}
	clear(w.queue)
	calls, w.calls = w.calls, nil
	w.queue, w.working = w.queue[:0], batch
	if w.closed { // again, until the queue is empty
		w.signal()
	}
	return batch, calls, w.closed
}

// op does an operation on the disk. While it takes longer than stallAfter, the worker is stalled.
func (w *worker) op(f func() error) error {
	w.mu.Lock()
	w.began = time.Now()
	w.mu.Unlock()
	w.watch.Reset(stallAfter)
	err := f()
	w.watch.Stop()
	w.mu.Lock()
	w.began, w.stalled = time.Time{}, false
	w.mu.Unlock()
	return err
}

// stall is called when an operation takes too long. The sessions that wait are given up.
func (w *worker) stall() {
	w.mu.Lock()
	if w.began.IsZero() || time.Since(w.began) < stallAfter { // the timer fired for an earlier operation
		w.mu.Unlock()
		return
	}
	w.stalled = true
	waiting := make([]*Session, 0, len(w.working)+len(w.queue))
	for _, x := range w.working {
		waiting = append(waiting, x.s)
	}
	for _, s := range w.queue {
		s.pending[w.slot] = 0
		waiting = append(waiting, s)
	}
	clear(w.queue)
	w.queue = w.queue[:0]
	w.mu.Unlock()
	for _, s := range waiting {
		w.fail(s)
	}
}

// close makes the goroutine end when the queue is empty. It waits for that at most for stallAfter,
// since an operation may never return.
func (w *worker) close() {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	timer := time.NewTimer(stallAfter)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
}
