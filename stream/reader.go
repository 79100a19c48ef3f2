package stream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// ReadSize is the size in bytes of the buffers that output is read into.
	ReadSize = MaxPiece
	// TailDelay is the longest time that an unterminated line is kept back.
	TailDelay = 100 * time.Millisecond
	// DefaultMaxLine is the default bound of a line in bytes.
	DefaultMaxLine = 1 << 20
	// Marker ends a truncated line.
	Marker = "..."
	// maxRemains is the most that is read from a pipe whose writers outlived the kill: no pipe holds more.
	maxRemains = 1 << 20
)

var buffers = sync.Pool{New: func() any { return new([ReadSize]byte) }}

// Source is the read end of a pipe. ReadReady waits until there is something to read, the end, or the read
// deadline, and only then asks lend for a buffer; TryRead does not wait. Both return io.EOF at the end.
type Source interface {
	ReadReady(lend func() []byte) (int, error)
	TryRead(lend func() []byte) (int, error)
	SetReadDeadline(time.Time) error
}

// ReaderOptions say how a stream is cut into pieces.
type ReaderOptions struct {
	Kind Kind
	// Raw delivers chunks as they are read; all options below but Bytes are then of no effect.
	Raw bool
	// MaxLine bounds a line in bytes, its newline not counted; 0 means DefaultMaxLine.
	MaxLine int64
	// Split cuts a longer line into pieces of at most MaxLine bytes; without it the line is truncated.
	Split bool
	// Bytes allows a piece to end inside a UTF-8 character.
	Bytes bool
	// OnRead is called after each read, before what was read is in the log.
	OnRead func()
}

// Reader takes a stream from its source to the log: in whole lines, as many as were ready, each at most
// MaxLine bytes. Its memory does not depend on the length of a line, and while nothing is on the way it
// holds at most three bytes of an unfinished character and no buffer.
type Reader struct {
	o   ReaderOptions
	src Source
	log *Log

	buf   *[ReadSize]byte // borrowed while there is something in it
	have  int             // bytes of buf that are not in the log yet: the tail
	held  [utf8.UTFMax - 1]byte
	nheld int  // an unfinished character that waits for its end without a buffer
	armed bool // the read deadline is that of the tail

	line     int64 // bytes of the current line that are in the log
	dropping bool  // the rest of the current line is dropped
	dropped  int64

	mu    sync.Mutex
	final bool // read what is there and stop

	lendFunc func() []byte
}

// NewReader returns a reader from src to log. Its Run does the work.
func NewReader(src Source, log *Log, o ReaderOptions) *Reader {
	if o.MaxLine <= 0 {
		o.MaxLine = DefaultMaxLine
	}
	r := &Reader{o: o, src: src, log: log}
	r.lendFunc = r.lend
	return r
}

// Finish makes Run return as soon as the pipe is dry. It may be called concurrently with Run, once the log
// is free.
func (r *Reader) Finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.final = true
	r.src.SetReadDeadline(time.Unix(1, 0))
}

// Run reads to the end of the stream, or until Finish. All that was read is in the log when it returns; an
// error of the source other than its end is returned.
func (r *Reader) Run() error {
	defer r.giveBack()
	for {
		n, err := r.src.ReadReady(r.lendFunc)
		if n > 0 {
			r.took(n)
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.finishing() {
				return r.remains()
			}
			r.flush()
			r.arm(time.Time{})
		default:
			r.end()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// remains reads what is in the pipe without waiting for more.
func (r *Reader) remains() error {
	for total := 0; total < maxRemains; {
		n, err := r.src.TryRead(r.lendFunc)
		if n > 0 {
			r.took(n)
			total += n
		}
		if err != nil {
			break
		}
	}
	r.end()
	return nil
}

// lend returns the free part of the buffer, behind the tail.
func (r *Reader) lend() []byte {
	if r.buf == nil {
		r.buf = buffers.Get().(*[ReadSize]byte)
		r.have = copy(r.buf[:], r.held[:r.nheld])
		r.nheld = 0
	}
	return r.buf[r.have:]
}

// giveBack returns the buffer; a tail of at most three bytes is held without it.
func (r *Reader) giveBack() {
	if r.buf != nil {
		r.nheld = copy(r.held[:], r.buf[:r.have])
		r.have = 0
		buffers.Put(r.buf)
		r.buf = nil
	}
}

// took deals with n bytes read behind the tail.
func (r *Reader) took(n int) {
	if r.o.OnRead != nil {
		r.o.OnRead()
	}
	begin := r.have
	r.have += n
	if r.o.Raw {
		r.flush()
		return
	}
	b := r.buf[:r.have]
	rest := r.lines(b, begin)
	whole := len(rest) < len(b)
	r.have = copy(r.buf[:], rest)
	switch {
	case r.have == 0:
		r.armed = false // it may pass: there is nothing to flush then
		r.giveBack()
	case r.have == ReadSize:
		r.flush()
	case whole || !r.armed:
		r.armed = true
		r.arm(time.Now().Add(TailDelay))
	}
}

// lines appends the whole lines of b and what of a long line is certain, and returns the rest. There is no
// newline before fresh.
func (r *Reader) lines(b []byte, fresh int) []byte {
	if !r.dropping && r.line+int64(len(b)) <= r.o.MaxLine {
		end := fresh + bytes.LastIndexByte(b[fresh:], '\n') + 1
		if end > fresh {
			r.append(Piece{Data: b[:end]})
			r.line = 0
			b = b[end:]
		}
		return b
	}
	return r.longLines(b)
}

// longLines does the same where a line may pass the bound.
func (r *Reader) longLines(b []byte) []byte {
	run := 0 // b[:run] are whole lines that are not in the log yet
	for run < len(b) {
		if r.dropping {
			b = r.drop(b)
			continue
		}
		rest := b[run:]
		room := r.o.MaxLine - r.line
		i := bytes.IndexByte(rest, '\n')
		switch {
		case i >= 0 && int64(i) <= room:
			run += i + 1
			r.line = 0
		case i < 0 && (int64(len(rest)) <= room || r.o.Split && unfinished(rest) == len(rest)):
			r.append(Piece{Data: b[:run]})
			return rest
		default:
			b = b[r.cut(b, run, room):]
			run = 0
		}
	}
	r.append(Piece{Data: b[:run]})
	return b[run:]
}

// cut ends the line that begins at b[run] after at most room bytes of it, and returns how much of b is in
// the log then.
func (r *Reader) cut(b []byte, run int, room int64) int {
	n := run + int(room)
	if !r.o.Bytes {
		n = run + character(b[run:], int(room))
	}
	if !r.o.Split {
		r.truncate(b[:n])
		return n
	}
	if n == run && r.line == 0 { // not even one character fits: a piece is never empty
		_, size := utf8.DecodeRune(b[run:])
		n += size
	}
	if n > 0 {
		r.append(Piece{Data: b[:n], Sealed: true})
	} else {
		r.log.Seal()
	}
	r.line = 0
	return n
}

// truncate appends what is left of a line and the marker, in one piece if they fit.
func (r *Reader) truncate(b []byte) {
	if len(b)+len(Marker) > MaxPiece {
		r.append(Piece{Data: b})
		b = nil
	}
	r.append(Piece{Data: b, Marker: Marker, Truncated: true})
	r.dropping = true
}

// drop drops b up to the end of the truncated line and returns what lies behind it.
func (r *Reader) drop(b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		r.dropped += int64(len(b))
		return nil
	}
	r.append(Piece{Data: b[i : i+1], Dropped: r.dropped + int64(i), Sealed: true})
	r.dropping, r.dropped, r.line = false, 0, 0
	return b[i+1:]
}

// flush appends the tail but for an unfinished character at its end, and gives the buffer back.
func (r *Reader) flush() {
	r.armed = false
	if r.buf == nil {
		return
	}
	n := r.have
	if !r.o.Bytes {
		n -= unfinished(r.buf[:r.have])
	}
	r.append(Piece{Data: r.buf[:n]})
	r.line += int64(n)
	r.have = copy(r.buf[:], r.buf[n:r.have])
	r.giveBack()
}

// end appends all that is left at the end of the stream.
func (r *Reader) end() {
	r.lend()
	if r.o.Split && !r.o.Raw && r.line+int64(r.have) > r.o.MaxLine {
		r.log.Seal() // a character that nothing finished passes the bound
	}
	r.append(Piece{Data: r.buf[:r.have]})
	r.have = 0
	if r.dropping {
		r.append(Piece{Dropped: r.dropped})
	}
}

func (r *Reader) append(p Piece) {
	if len(p.Data)+len(p.Marker) > 0 || p.Dropped > 0 {
		p.Kind = r.o.Kind
		r.log.Append(p)
	}
}

// arm sets when the tail has to leave, unless the reader is to finish.
func (r *Reader) arm(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.final {
		r.src.SetReadDeadline(t)
	}
}

func (r *Reader) finishing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.final
}

// unfinished is the length of a UTF-8 character at the end of b that more bytes could complete.
func unfinished(b []byte) int {
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

// character returns the largest length up to n at which b can be cut without cutting a character.
func character(b []byte, n int) int {
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
