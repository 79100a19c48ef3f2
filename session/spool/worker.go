package spool

import (
	"slices"
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
)

// final are the tasks of sessions that nobody waits for. A worker takes them also while it is stalled:
// they are done when the disk responds again. They are few, since no session begins meanwhile.
const final = taskRecord | taskRemove

// work is what a worker has to do for one session.
type work struct {
	s *Session // nil in worker.working when it is done
	tasks
}

// call is a function that a worker is to call.
type call struct {
	f      func() error
	result chan error // has room for ErrStalled and for the result
}

// worker is a goroutine that writes for sessions, which wait in a queue. While one of its
// operations takes longer than stallAfter it is stalled, and refuses sessions.
type worker struct {
	slot int                   // index of Session.pending
	do   func(*worker, []work) // does the work, with each operation on the disk in op
	fail func(*Session)        // is called for each session that waits when the worker is stalled

	mu      sync.Mutex
	queue   []*Session
	calls   []call
	working []work    // that do was called for
	calling []call    // that were taken from calls
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
// closed; it takes final tasks nevertheless. It does not block, and may be called with the lock of a
// log held.
func (w *worker) add(s *Session, t tasks) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	refuses := w.stalled || w.closed
	if refuses {
		t &= final
	}
	if t == 0 {
		return false
	}
	if s.pending[w.slot] == 0 {
		w.queue = append(w.queue, s)
	}
	s.pending[w.slot] |= t
	w.signal()
	return !refuses
}

// call makes the worker call f, and returns its error. If the worker is stalled, closed or too busy,
// call returns ErrStalled; then f may be called later, or never. f is one operation on the disk.
func (w *worker) call(f func() error) error {
	c := call{f, make(chan error, 2)}
	w.mu.Lock()
	if w.stalled || w.closed {
		w.mu.Unlock()
		return ErrStalled
	}
	w.calls = append(w.calls, c)
	w.signal()
	w.mu.Unlock()
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case err := <-c.result:
		return err
	case <-timer.C:
		return ErrStalled
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
		for _, c := range calls {
			c.result <- w.op(c.f)
		}
		if closed && len(batch)+len(calls) == 0 {
			return
		}
	}
}

// take returns what is to be done, and whether the worker is closed.
func (w *worker) take() (batch []work, calls []call, closed bool) {
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
	w.queue, w.working, w.calling = w.queue[:0], batch, calls
	if w.closed { // again, until the queue is empty
		w.signal()
	}
	return batch, calls, w.closed
}

// finished tells that the i-th work of the batch is done: its session no longer waits.
func (w *worker) finished(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.working[i].s = nil
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

// stall is called when an operation takes too long. The sessions and the calls that wait are given up.
func (w *worker) stall() {
	w.mu.Lock()
	if w.began.IsZero() || time.Since(w.began) < stallAfter { // the timer fired for an earlier operation
		w.mu.Unlock()
		return
	}
	w.stalled = true
	waiting := make([]*Session, 0, len(w.working)+len(w.queue))
	for _, x := range w.working {
		if x.s != nil {
			waiting = append(waiting, x.s)
		}
	}
	waiting = append(waiting, w.queue...)
	w.queue = slices.DeleteFunc(w.queue, func(s *Session) bool {
		s.pending[w.slot] &= final
		return s.pending[w.slot] == 0
	})
	for _, c := range append(w.calling, w.calls...) {
		select {
		case c.result <- ErrStalled:
		default:
		}
	}
	w.calling, w.calls = nil, nil
	w.mu.Unlock()
	for _, s := range waiting {
		w.fail(s)
	}
}

// close makes the goroutine end when the queue is empty: see done.
func (w *worker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.signal()
}
