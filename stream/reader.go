package stream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	// ReadSize is the size in bytes of the buffers that output is read into.
	ReadSize = MaxPiece
	// PartialLineDelay is the longest time that an unterminated line is held back.
	PartialLineDelay = 100 * time.Millisecond
	// DefaultMaxLine is the default of ReaderOptions.MaxLine in bytes.
	DefaultMaxLine = 1 << 20
	// Marker ends a truncated line.
	Marker = "..."
	// maxRest is the most that is read after Finish, for processes may still write. No pipe holds
	// more.
	maxRest = 1 << 20
)

// Pipe is the read end of a pipe. ReadNow returns EAGAIN if there is nothing to read and
// os.ErrDeadlineExceeded once the read deadline has passed; a pipe in fake time may wait for data
// instead. TryRead does not wait and ignores the deadline. Both call lend for a buffer only if there
// is data, and return io.EOF at the end.
type Pipe interface {
	ReadNow(lend func() []byte) (int, error)
	TryRead(lend func() []byte) (int, error)
	SetReadDeadline(time.Time) error
}

// ReaderOptions configure how a stream is cut into pieces.
type ReaderOptions struct {
	Kind Kind
	// Raw appends output as it is read. The options below except Bytes and OnRead have no effect
	// then.
	Raw bool
	// MaxLine bounds a line in bytes without its newline; 0 is DefaultMaxLine.
	MaxLine int64
	// Split cuts a longer line into pieces of at most MaxLine bytes. Without it the line is
	// truncated.
	Split bool
	// Bytes allows a piece to end inside a UTF-8 character.
	Bytes bool
	// OnRead, if not nil, is called after each read, before the data is in the log.
	OnRead func()
}

// Reader copies a stream from its source to the log: in whole lines, as many as are available, each
// at most MaxLine bytes. Its memory does not depend on the length of a line. While it waits for
// data it holds no buffer, except for an unterminated line that was read less than PartialLineDelay
// ago.
type Reader struct {
	o   ReaderOptions
	src Pipe
	log *Log

	buf         *segment // of ReadSize bytes, while it contains data
	kept        bool     // the log keeps buf: what is in it must not be changed
	buffered    int      // bytes of buf that are not in the log yet: the partial line
	partialRune [utf8.UTFMax - 1]byte
	partialLen  int  // bytes in partialRune: an incomplete character, while buf is nil
	deadlineSet bool // the read deadline is that of the partial line
	turn        turn

	lineBytes int64 // bytes of the current line that are in the log
	dropping  bool  // the rest of the current line is dropped
	dropped   int64

	mu       sync.Mutex
	finished bool          // Finish was called
	wakeup   chan struct{} // closed by Finish; nil if Run does not wait for a turn

	lendFunc func() []byte
}

// NewReader returns a reader that copies src to log. Run does the work.
func NewReader(src Pipe, log *Log, o ReaderOptions) *Reader {
	if o.MaxLine <= 0 {
		o.MaxLine = DefaultMaxLine
	}
	r := &Reader{o: o, src: src, log: log, turn: newTurn(log.account, false)}
	r.lendFunc = r.lend
	return r
}

// Finish makes Run return as soon as it has read what is in the pipe. It may be called concurrently
// with Run, after [Log.Unblock].
func (r *Reader) Finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
	if r.wakeup != nil {
		close(r.wakeup)
		r.wakeup = nil
	}
	r.src.SetReadDeadline(time.Unix(1, 0))
}

// Run reads to the end of the stream, or until Finish. When it returns, all that was read is in the
// log. It returns an error of the source other than io.EOF.
//
// If the source has nothing to read, the error is EAGAIN, and Run is to be called again when it has
// something, or its read deadline has passed.
func (r *Reader) Run() error {
	defer r.turn.leave()
	for {
		r.awaitTurn()
		n, err := r.src.ReadNow(r.lendFunc)
		if n > 0 {
			r.process(n)
		}
		switch {
		case err == nil:
		case err == syscall.EAGAIN:
			return err // the buffer remains if it has a partial line
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.isFinished() {
				defer r.returnBuffer()
				return r.readRest()
			}
			r.flush()
			r.setDeadline(time.Time{})
		default:
			defer r.returnBuffer()
			r.appendRest()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// awaitTurn waits for a turn of the log's owner, or for Finish.
func (r *Reader) awaitTurn() {
	for {
		wait := r.turn.enter()
		if wait == 0 {
			return
		}
		r.mu.Lock()
		if r.finished {
			r.mu.Unlock()
			return
		}
		wakeup := make(chan struct{})
		r.wakeup = wakeup
		r.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-wakeup:
		}
		timer.Stop()
	}
}

// Empty reports whether nothing is to be appended at the end of the stream if no more is read. It
// must not be called concurrently with Run.
func (r *Reader) Empty() bool { return r.buf == nil && r.partialLen == 0 && !r.dropping }

// readRest reads what is in the pipe without waiting for more.
func (r *Reader) readRest() error {
	for total := 0; total < maxRest; {
		n, err := r.src.TryRead(r.lendFunc)
		if n > 0 {
			r.process(n)
			total += n
		}
		if err != nil {
			break
		}
	}
	r.appendRest()
	return nil
}

// lend returns the free part of the buffer, after the partial line.
func (r *Reader) lend() []byte {
	if r.buf == nil {
		r.buf = newSegment(ReadSize)
		r.buffered = copy(r.bytes(ReadSize), r.partialRune[:r.partialLen])
		r.partialLen = 0
	}
	return r.bytes(ReadSize)[r.buffered:]
}

// bytes returns the first n bytes of the buffer.
func (r *Reader) bytes(n int) []byte { return r.buf.data[:n] }

// returnBuffer releases the buffer. It keeps an incomplete character.
func (r *Reader) returnBuffer() {
	if r.buf != nil {
		r.partialLen = copy(r.partialRune[:], r.bytes(r.buffered))
		r.buffered = 0
		r.buf.release()
		r.buf, r.kept = nil, false
	}
}

// retain moves rest, the end of what is buffered, to the beginning of the buffer. If the log keeps
// the buffer, it is moved to another one.
func (r *Reader) retain(rest []byte) {
	if !r.kept {
		r.buffered = copy(r.bytes(ReadSize), rest)
		return
	}
	old := r.buf
	r.buf, r.kept, r.buffered = nil, false, 0
	if len(rest) > 0 {
		r.buffered = copy(r.lend(), rest)
	}
	old.release()
}

// process handles n bytes that were read after the partial line.
func (r *Reader) process(n int) {
	if r.o.OnRead != nil {
		r.o.OnRead()
	}
	begin := r.buffered
	r.buffered += n
	if r.o.Raw {
		r.flush()
		return
	}
	b := r.bytes(r.buffered)
	rest := r.appendLines(b, begin)
	whole := len(rest) < len(b)
	r.retain(rest)
	switch {
	case r.buffered == 0:
		r.deadlineSet = false // it may still expire, when there is nothing to flush
		r.returnBuffer()
	case r.buffered == ReadSize:
		r.flush()
	case whole || !r.deadlineSet:
		r.deadlineSet = true
		r.setDeadline(time.Now().Add(PartialLineDelay))
	}
}

// appendLines appends the whole lines of b, and of a line over the limit as much as is decided. It
// returns the rest. There is no newline in b[:fresh].
func (r *Reader) appendLines(b []byte, fresh int) []byte {
	if !r.dropping && r.lineBytes+int64(len(b)) <= r.o.MaxLine {
		end := fresh + bytes.LastIndexByte(b[fresh:], '\n') + 1
		if end > fresh {
			r.append(Piece{Data: b[:end]})
			r.lineBytes = 0
			b = b[end:]
		}
		return b
	}
	return r.appendLongLines(b)
}

// appendLongLines is appendLines for data in which a line may exceed the limit.
func (r *Reader) appendLongLines(b []byte) []byte {
	run := 0 // b[:run] are whole lines that are not in the log yet
	for run < len(b) {
		if r.dropping {
			b = r.dropLine(b)
			continue
		}
		rest := b[run:]
		room := r.o.MaxLine - r.lineBytes
		i := bytes.IndexByte(rest, '\n')
		switch {
		case i >= 0 && int64(i) <= room:
			run += i + 1
			r.lineBytes = 0
		case i < 0 && (int64(len(rest)) <= room || r.o.Split && incompleteCharacter(rest) == len(rest)):
			r.append(Piece{Data: b[:run]})
			return rest
		default:
			b = b[r.cutLine(b, run, room):]
			run = 0
		}
	}
	r.append(Piece{Data: b[:run]})
	return b[run:]
}

// cutLine ends the line that begins at b[run] after at most room bytes of it. It returns how many
// bytes of b it has appended.
func (r *Reader) cutLine(b []byte, run int, room int64) int {
	n := run + int(room)
	if !r.o.Bytes {
		n = run + characterBoundary(b[run:], int(room))
	}
	if !r.o.Split {
		r.truncate(b[:n])
		return n
	}
	if n == run && r.lineBytes == 0 { // a piece must not be empty, so it may exceed the limit
		_, size := utf8.DecodeRune(b[run:])
		n += size
	}
	if n > 0 {
		r.append(Piece{Data: b[:n], Sealed: true})
	} else {
		r.log.Seal()
	}
	r.lineBytes = 0
	return n
}

// truncate appends the rest of a line and the marker, in one piece if they fit.
func (r *Reader) truncate(b []byte) {
	if len(b)+len(Marker) > MaxPiece {
		r.append(Piece{Data: b})
		b = nil
	}
	r.append(Piece{Data: b, Marker: Marker, Truncated: true})
	r.dropping = true
}

// dropLine drops b up to the end of the truncated line, and returns what follows.
func (r *Reader) dropLine(b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		r.dropped += int64(len(b))
		return nil
	}
	r.append(Piece{Data: b[i : i+1], Dropped: r.dropped + int64(i), Sealed: true})
	r.dropping, r.dropped, r.lineBytes = false, 0, 0
	return b[i+1:]
}

// flush appends the partial line without an incomplete character at its end, and returns the
// buffer.
func (r *Reader) flush() {
	r.deadlineSet = false
	if r.buf == nil {
		return
	}
	n := r.buffered
	if !r.o.Bytes {
		n -= incompleteCharacter(r.bytes(r.buffered))
	}
	r.append(Piece{Data: r.bytes(n)})
	r.lineBytes += int64(n)
	r.retain(r.bytes(r.buffered)[n:])
	r.returnBuffer()
}

// appendRest appends what is buffered, at the end of the stream.
func (r *Reader) appendRest() {
	r.lend()
	if r.o.Split && !r.o.Raw && r.lineBytes+int64(r.buffered) > r.o.MaxLine {
		r.log.Seal() // an incomplete character exceeds the limit
	}
	r.append(Piece{Data: r.bytes(r.buffered)})
	r.buffered = 0
	if r.dropping {
		r.append(Piece{Dropped: r.dropped})
	}
}

// append appends a part of the buffer. The log keeps the buffer itself if the part is most of it.
func (r *Reader) append(p Piece) {
	if len(p.Data)+len(p.Marker) == 0 && p.Dropped == 0 {
		return
	}
	p.Kind = r.o.Kind
	if len(p.Data) >= minAdopted && p.Marker == "" {
		p.segment, r.kept = r.buf.retain(), true
	}
	r.log.Append(p)
}

// setDeadline sets the read deadline, unless Finish was called.
func (r *Reader) setDeadline(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		r.src.SetReadDeadline(t)
	}
}

func (r *Reader) isFinished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finished
}

// incompleteCharacter returns the length of a UTF-8 character at the end of b that more bytes may
// complete.
func incompleteCharacter(b []byte) int {
	for k := 1; k < utf8.UTFMax && k <= len(b); k++ {
		if utf8.RuneStart(b[len(b)-k]) {
			if !utf8.FullRune(b[len(b)-k:]) {
				return k
			}
			return 0
		}
	}
	return 0
}

// characterBoundary returns the largest length up to n at which no character of b is cut.
func characterBoundary(b []byte, n int) int {
	for k := 1; k < utf8.UTFMax && k <= n; k++ {
		tail := b[n-k:]
		if !utf8.RuneStart(tail[0]) {
			continue
		}
		if _, size := utf8.DecodeRune(tail); size > k || !utf8.FullRune(tail) {
			return n - k
		}
		return n
	}
	return n
}
