package session

import (
	"os"
	"sync"

	"github.com/runnel-rpc/runnel/process"
)

// StdinQueueBytes is how much input waits for a process to read it. A single write that is larger is
// accepted into an empty queue.
const StdinQueueBytes = 1 << 20

// writeOverhead is what each write is charged besides its data, or a queue of single bytes would take a hundred times
// its bound.
const writeOverhead = 64

// stdin is the bounded queue between writes and a process. Writes are accepted in the order in which they
// came, each when there is room for it; a goroutine that lives while there is something to write feeds the
// pipe. The zero value waits for open.
//
// A terminal has no end of input: there eof is a key that is typed, and what comes after it is accepted.
type stdin struct {
	mu      sync.Mutex
	file    *os.File
	eofKey  func() ([]byte, error) // of a terminal; nil for a pipe
	touch   func()
	waiting []*Write
	queue   [][]byte // an empty one is the key
	queued  int64    // what queue is charged
	total   int64
	eof     bool   // it was accepted; on a pipe nothing is behind it
	eofAt   int64  // behind how many bytes the newest one was
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

// Write puts data in line for the stdin of the process; eof closes it behind them, and on a terminal types
// the key for it. Offset, if not nil, says
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

func (s *Session) openStdin(p *process.Process) {
	if s.spec.Program.Terminal != nil {
		s.stdin.open(p.Stdin(), p.EOFKey, s.silence.Touch)
	} else {
		s.stdin.open(p.Stdin(), nil, s.silence.Touch)
	}
}

// open connects the queue with the pipe; a nil file takes nothing. With eofKey it is a terminal.
func (q *stdin) open(file *os.File, eofKey func() ([]byte, error), touch func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.file, q.eofKey, q.touch = file, eofKey, touch
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
			if q.queued > 0 && q.queued+charge(data) > StdinQueueBytes {
				return
			}
			q.accept(data, w.eof && !q.typed(w))
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
	whole := w.offset != nil && skip == int64(len(w.data)) && (!w.eof || q.typed(w))
	switch {
	case whole && (q.eof || len(w.data) > 0):
		return skip, nil
	case q.shutFor != "":
		return 0, &StdinError{q.shutFor}
	case q.eof && q.eofKey == nil:
		return 0, &StdinError{"eof was written"}
	}
	return skip, nil
}

// typed says whether the eof of a write is there already. On a terminal it is if more was accepted behind
// its place, or another eof at it; a write without an offset is never a retry.
func (q *stdin) typed(w *Write) bool {
	if q.eofKey == nil {
		return q.eof
	}
	if w.offset == nil {
		return false
	}
	end := *w.offset + int64(len(w.data))
	return end < q.total || q.eof && end == q.eofAt
}

func (q *stdin) accept(data []byte, eof bool) {
	q.total += int64(len(data))
	if eof {
		q.eofAt = q.total
	}
	if q.shutFor != "" {
		return
	}
	if len(data) > 0 {
		q.queue = append(q.queue, data)
		q.queued += charge(data)
	}
	q.eof = q.eof || eof
	if eof && q.eofKey != nil {
		q.queue = append(q.queue, nil)
		q.queued += charge(nil)
	}
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
		text := data
		if len(data) == 0 {
			text, _ = q.eofKey() // the terminal is closed: so is the file
		}
		_, err := file.Write(text)
		q.wrote(charge(data), err)
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
	if q.eof && q.eofKey == nil && q.shutFor == "" {
		_ = q.file.Close()
	}
	return nil, nil, false
}

func charge(data []byte) int64 { return int64(len(data)) + writeOverhead }

func (q *stdin) wrote(n int64, err error) {
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
		q.queued -= n
	}
	q.admit()
}
