package session

import (
	"bytes"
	"os"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/process"
)

// StdinQueueBytes is how many bytes of input may wait for the process to read them. A single larger
// write is accepted when the queue is empty.
const StdinQueueBytes = 1 << 20

// writeOverhead is what each write is charged besides its data. Without it, a queue of single bytes
// would take a hundred times its bound.
const writeOverhead = 64

// stdin is the bounded queue of input for a process. Writes are accepted in their order, each when
// there is room. A goroutine, which exists while the queue is not empty, writes the queue to the
// pipe. The zero value accepts nothing until open is called.
//
// A terminal has no end of input: its eof is a key that is typed, and more input may follow.
type stdin struct {
	mu       sync.Mutex
	file     *os.File
	eofKey   func() ([]byte, error) // of a terminal; nil for a pipe
	touch    func()                 // called after each write to file
	record   *inputRecorder         // nil if the input is not recorded
	waiting  []*Write               // not accepted yet
	queue    []piece                // without data it is the eof key
	queued   int64                  // charged bytes of queue
	position                        // of all input; a pipe accepts nothing after an eof
	writers  []writer               // those that have written last, at most maxWriters, the newest at the end
	closed   string                 // why nothing is accepted; empty if something is
	feeding  bool                   // feed is running
	feeder   sync.WaitGroup
}

// Write is input to be accepted. Done is closed when it was accepted or refused. Then Total is the
// number of all bytes accepted so far, or Err is set.
type Write struct {
	Done  chan struct{}
	Total int64
	Err   error

	piece
	offset *Offset
	eof    bool
}

// Offset is where the data of a write begins: in the whole input of a session, or if Writer is not empty, in
// that of one writer.
type Offset struct {
	Writer string
	At     int64
}

// piece is input, and the function that recycles its memory, or nil.
type piece struct {
	data    []byte
	recycle func()
}

// after returns the piece without its first n bytes. What is left is copied if that is less than
// half, since the queue counts what is left, and would keep all of its memory.
func (p piece) after(n int64) piece {
	left := p.data[n:]
	if n <= int64(len(left)) {
		return piece{left, p.recycle}
	}
	left = bytes.Clone(left)
	if p.recycle != nil {
		p.recycle()
	}
	return piece{data: left}
}

// Write submits data for the stdin of the process. If eof is true, it closes stdin after the data;
// on a terminal it types the eof key. offset, if not nil, is where data begins in the input: bytes
// that were accepted already are skipped. The session knows the maxWriters writers that have written last;
// any other has written nothing. Write does not wait. Write.Err is a *StdinError or an
// *OffsetError.
//
// recycle, if it is not nil, is called when the memory of data can be used again: when data was
// written to the process, or when most of it is skipped. It is called from any goroutine, and must
// not block or write. It is not called if the data is never written completely; then the memory is
// left to the garbage collector.
func (s *Session) Write(data []byte, recycle func(), offset *Offset, eof bool) *Write {
	w := &Write{Done: make(chan struct{}), piece: piece{data, recycle}, offset: offset, eof: eof}
	q := &s.stdin
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
	q.admit()
	return w
}

// Withdraw removes a write that was not accepted yet, and reports whether it did.
func (s *Session) Withdraw(w *Write) bool {
	q := &s.stdin
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.admit()
	return true
}

func (s *Session) openStdin(p *process.Process) {
	var eofKey func() ([]byte, error)
	if s.spec.Program.Terminal != nil {
		eofKey = p.EOFKey
	}
	if s.spec.RecordInput {
		s.stdin.record = &inputRecorder{log: s.log, echo: p.Echo} // before there is something to write
	}
	s.stdin.open(p.Stdin(), eofKey, s.streamTimeout.Touch)
}

// open connects the queue to the file; with a nil file nothing is accepted. For a terminal, eofKey
// is set.
func (q *stdin) open(file *os.File, eofKey func() ([]byte, error), touch func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.file, q.eofKey, q.touch = file, eofKey, touch
	if file == nil {
		q.closed = `the session was started with stdin "none"`
	}
	q.admit()
}

func (q *stdin) accepted() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// shut closes the file, refuses the writes that were not accepted, and waits for the goroutine of
// feed.
func (q *stdin) shut(why string) {
	q.mu.Lock()
	q.refuse(why)
	file := q.file
	q.mu.Unlock()
	if file != nil {
		_ = file.Close() // interrupts a blocked write
	}
	q.feeder.Wait()
}

func (q *stdin) refuse(why string) {
	if q.closed == "" {
		q.closed = why
	}
	q.queue, q.queued = nil, 0
	q.admit()
}

// admit accepts or refuses waiting writes in their order, until one has to wait for room.
func (q *stdin) admit() {
	for len(q.waiting) > 0 {
		w := q.waiting[0]
		if q.file == nil && q.closed == "" {
			return // not open yet
		}
		skip, err := q.check(w)
		if err == nil {
			if q.queued > 0 && q.queued+charge(w.data[skip:]) > StdinQueueBytes {
				return
			}
			q.accept(w, w.after(skip), w.eof && !q.hasEOF(w))
		}
		w.Total, w.Err, w.piece = q.total, err, piece{}
		q.waiting = q.waiting[1:]
		close(w.Done)
	}
	q.waiting = nil
}

// check returns how many bytes of a write were accepted before. If all were, the write is a retry
// of one whose reply was lost; then it is no error that stdin is closed.
func (q *stdin) check(w *Write) (skip int64, err error) {
	if w.offset != nil {
		accepted := q.positionOf(w).total
		skip = min(accepted-w.offset.At, int64(len(w.data)))
		if skip < 0 {
			return 0, &OffsetError{w.offset.At, accepted}
		}
	}
	complete := w.offset != nil && skip == int64(len(w.data)) && (!w.eof || q.hasEOF(w))
	switch {
	case complete && (q.eof || len(w.data) > 0):
		return skip, nil
	case q.closed != "":
		return 0, &StdinError{q.closed}
	case q.eof && q.eofKey == nil:
		return 0, &StdinError{"eof was written"}
	}
	return skip, nil
}

// hasEOF reports whether the eof of a write was accepted already. On a terminal it was if more
// bytes were accepted after its position, or another eof at it. A write without an offset is never
// a retry.
func (q *stdin) hasEOF(w *Write) bool {
	if q.eofKey == nil {
		return q.eof
	}
	if w.offset == nil {
		return false
	}
	end, at := w.offset.At+int64(len(w.data)), q.positionOf(w)
	return end < at.total || at.eof && end == at.eofAt
}

func (q *stdin) accept(w *Write, p piece, eof bool) {
	if w.offset != nil && w.offset.Writer != "" {
		q.writerNamed(w.offset.Writer).advance(len(p.data), eof)
	}
	q.advance(len(p.data), eof)
	if q.closed != "" {
		return
	}
	if len(p.data) > 0 {
		q.queue = append(q.queue, p)
		q.queued += charge(p.data)
	}
	if eof && q.eofKey != nil {
		q.queue = append(q.queue, piece{})
		q.queued += charge(nil)
	}
	if !q.feeding && (len(q.queue) > 0 || eof) {
		q.feeding = true
		q.feeder.Go(q.feed)
	}
}

// feed writes the queue to the file, and returns when it is empty.
func (q *stdin) feed() {
	for {
		p, file, more := q.head()
		if !more {
			return
		}
		text := p.data
		if len(text) == 0 {
			text, _ = q.eofKey() // an error means that the terminal is closed: the write fails too
		}
		err := q.record.write(file, text)
		if err == nil && p.recycle != nil {
			p.recycle()
		}
		q.wrote(charge(p.data), err)
	}
}

// head returns what to write next. At the end of the input it closes the pipe.
func (q *stdin) head() (piece, *os.File, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) > 0 {
		return q.queue[0], q.file, true
	}
	q.feeding = false
	if q.eof && q.eofKey == nil && q.closed == "" {
		_ = q.file.Close()
	}
	return piece{}, nil, false
}

func charge(data []byte) int64 { return int64(len(data)) + writeOverhead }

// wrote removes the first write from the queue, which was charged n bytes.
func (q *stdin) wrote(n int64, err error) {
	q.touch()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.refuse("the process closed it")
		return
	}
	if len(q.queue) > 0 { // empty if it was shut meanwhile
		q.queue[0] = piece{}
		q.queue = q.queue[1:]
		q.queued -= n
	}
	q.admit()
}
