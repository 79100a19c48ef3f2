package session

import (
	"os"
	"sync"
)

// StdinQueueBytes is how much input waits for a process to read it. A single write that is larger is
// accepted into an empty queue.
const StdinQueueBytes = 1 << 20

// stdin is the bounded queue between writes and a process. Writes are accepted in the order in which they
// came, each when there is room for it; a goroutine that lives while there is something to write feeds the
// pipe. The zero value waits for open.
type stdin struct {
	mu      sync.Mutex
	file    *os.File
	touch   func()
	waiting []*Write
	queue   [][]byte
	queued  int64
	total   int64
	eof     bool   // nothing is accepted behind this
	shutFor string // why nothing is accepted at all
	feeding bool
	feeder  sync.WaitGroup
}

// Write is input on its way into the queue. Done is closed when it was accepted or refused; then Total,
// all bytes accepted so far, or Err hold.
type Write struct {
	Done  chan struct{}
	Total int64
	Err   error

	data   []byte
	offset *int64
	eof    bool
}

// Write puts data in line for the stdin of the process; eof closes it behind them. Offset, if not nil, says
// where data begins: what was accepted already is skipped. It does not wait. The write's error is a
// *StdinError or an *OffsetError.
func (s *Session) Write(data []byte, offset *int64, eof bool) *Write {
	w := &Write{Done: make(chan struct{}), data: data, offset: offset, eof: eof}
	q := &s.stdin
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
	q.admit()
	return w
}

// Withdraw takes back a write that was not accepted yet, and reports whether it could.
func (s *Session) Withdraw(w *Write) bool {
	q := &s.stdin
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, x := range q.waiting {
		if x == w {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.admit()
			return true
		}
	}
	return false
}

// open connects the queue with the pipe; a nil file takes nothing.
func (q *stdin) open(file *os.File, touch func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.file, q.touch = file, touch
	if file == nil {
		q.shutFor = `the session was started with stdin "none"`
	}
	q.admit()
}

func (q *stdin) accepted() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// shut closes the pipe, refuses what was not accepted, and waits for the feeder.
func (q *stdin) shut(why string) {
	q.mu.Lock()
	q.refuse(why)
	file := q.file
	q.mu.Unlock()
	if file != nil {
		_ = file.Close() // ends a blocked write
	}
	q.feeder.Wait()
}

func (q *stdin) refuse(why string) {
	if q.shutFor == "" {
		q.shutFor = why
	}
	q.queue, q.queued = nil, 0
	q.admit()
}

// admit accepts or refuses the writes at the head of the line.
func (q *stdin) admit() {
	for len(q.waiting) > 0 {
		w := q.waiting[0]
		if q.file == nil && q.shutFor == "" {
			return // not open yet
		}
		skip, err := q.check(w)
		if err == nil {
			data := w.data[skip:]
			if q.queued > 0 && q.queued+int64(len(data)) > StdinQueueBytes {
				return
			}
			q.accept(data, w.eof)
		}
		w.Total, w.Err = q.total, err
		q.waiting = q.waiting[1:]
		close(w.Done)
	}
	q.waiting = nil
}

// check returns how much of a write is there already. One that is there whole is no error, however stdin
// ended since: its answer was lost.
func (q *stdin) check(w *Write) (skip int64, err error) {
	if w.offset != nil {
		skip = min(q.total-*w.offset, int64(len(w.data)))
		if skip < 0 {
			return 0, &OffsetError{*w.offset, q.total}
		}
	}
	whole := w.offset != nil && skip == int64(len(w.data)) && (!w.eof || q.eof)
	switch {
	case whole && (q.eof || len(w.data) > 0):
		return skip, nil
	case q.shutFor != "":
		return 0, &StdinError{q.shutFor}
	case q.eof:
		return 0, &StdinError{"eof was written"}
	}
	return skip, nil
}

func (q *stdin) accept(data []byte, eof bool) {
	q.total += int64(len(data))
	if q.shutFor != "" {
		return
	}
	if len(data) > 0 {
		q.queue = append(q.queue, data)
		q.queued += int64(len(data))
	}
	q.eof = q.eof || eof
	if !q.feeding && (len(q.queue) > 0 || eof) {
		q.feeding = true
		q.feeder.Go(q.feed)
	}
}

// feed writes what is queued and ends when there is nothing left.
func (q *stdin) feed() {
	for {
		data, file, more := q.head()
		if !more {
			return
		}
		_, err := file.Write(data)
		q.wrote(len(data), err)
	}
}

// head returns what to write next. At the end of the input it closes the pipe.
func (q *stdin) head() ([]byte, *os.File, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) > 0 {
		return q.queue[0], q.file, true
	}
	q.feeding = false
	if q.eof && q.shutFor == "" {
		_ = q.file.Close()
	}
	return nil, nil, false
}

func (q *stdin) wrote(n int, err error) {
	q.touch()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.refuse("the process closed it")
		return
	}
	if len(q.queue) > 0 { // else it was shut meanwhile
		q.queue[0] = nil
		q.queue = q.queue[1:]
		q.queued -= int64(n)
	}
	q.admit()
}
