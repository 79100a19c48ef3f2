package audit

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// Version is the version of the schema, the member "v" of each line.
	Version = 1

	// maxPending is how many bytes of lines wait to be written. More lines are lost, and counted.
	maxPending = 4 << 20
	// requiredWait is how long WriteRequired waits for a line to be written.
	requiredWait = time.Second
	// retryDelay is the time between two attempts to write after an error.
	retryDelay = 100 * time.Millisecond
	// closeTimeout is how long Close waits for lines to be written.
	closeTimeout = time.Second
	// reopenTimeout is how long Reopen waits.
	reopenTimeout = time.Second
	// lossPause is the shortest time between two lines of Options.Log about lost lines.
	lossPause = time.Second
	// keptBuffer is how large a buffer may be that is kept for further lines.
	keptBuffer = 256 << 10
)

// ErrUnavailable means that a line could not be written.
var ErrUnavailable = errors.New("the audit log cannot be written")

// Options configure a log.
type Options struct {
	// Target is the path of a file, - for Stdout, or syslog.
	Target string
	// Required makes WriteRequired wait until its line is written.
	Required bool
	// FullCommands adds the arguments of commands and the text of shell commands to their lines.
	FullCommands bool
	// Stdout is the file of target -; nil is os.Stdout.
	Stdout *os.File
	// Log gets errors and the number of lost lines.
	Log zerolog.Logger
}

// Log is an audit log. Its methods may be called concurrently, on a nil Log too.
type Log struct {
	o      Options
	server string // distinguishes the lines of this server
	most   int    // bytes of a line
	target target
	wake   chan struct{} // holds a token if the writer has something to do
	urgent chan struct{} // holds a token if it must not wait for more
	done   chan struct{} // closed when the writer has returned

	mu    sync.Mutex
	queue queue
}

// Open opens the log. An error of the target is returned.
func Open(o Options) (*Log, error) {
	var t target
	var err error
	most := MaxLineBytes
	switch o.Target {
	case "-":
		if o.Stdout == nil {
			o.Stdout = os.Stdout
		}
		t, err = newStream(o.Stdout)
	case "syslog":
		most = maxSyslogLine
		t, err = openSyslog(syslogSockets)
	default:
		t, err = openFile(o.Target)
	}
	if err != nil {
		return nil, err
	}
	return newLog(o, t, most), nil
}

func newLog(o Options, t target, most int) *Log {
	var id [4]byte
	_, _ = rand.Read(id[:])
	l := &Log{
		o:      o,
		server: hex.EncodeToString(id[:]),
		most:   most,
		target: t,
		wake:   make(chan struct{}, 1),
		urgent: make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	go l.run()
	return l
}

// Write adds the line of an event. It does not wait. If the queue is full, the line is lost.
func (l *Log) Write(e Event) {
	if l != nil {
		l.enqueue(e, nil)
	}
}

// WriteRequired is Write, but with Options.Required it waits until the line is written, for at most
// a second. The error is ErrUnavailable; the line may be written later nevertheless.
func (l *Log) WriteRequired(e Event) error {
	if l == nil || !l.o.Required {
		l.Write(e)
		return nil
	}
	written := make(chan struct{})
	if !l.enqueue(e, written) {
		return ErrUnavailable
	}
	timeout := time.NewTimer(requiredWait)
	defer timeout.Stop()
	select {
	case <-written:
		return nil
	case <-timeout.C:
		return l.timedOut(written)
	}
}

// timedOut makes Available fail until something is written, unless the line was written meanwhile.
func (l *Log) timedOut(written <-chan struct{}) (err error) {
	l.update(func(q *queue) {
		select {
		case <-written:
		default:
			q.failing, err = true, ErrUnavailable
		}
	})
	return err
}

// Available returns ErrUnavailable if with Options.Required lines cannot be written at present. So a
// request is refused at once, and does not wait for what others have waited for in vain.
func (l *Log) Available() (err error) {
	if l != nil && l.o.Required {
		l.update(func(q *queue) {
			if q.failing {
				err = ErrUnavailable
			}
		})
	}
	return err
}

// Reopen opens the file again, after it was renamed. If that fails, the old file is used.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	result := make(chan error, 1)
	l.update(func(q *queue) { q.reopen = append(q.reopen, result) })
	l.signal(true)
	timeout := time.NewTimer(reopenTimeout)
	defer timeout.Stop()
	select {
	case err := <-result:
		return err
	case <-l.done:
		return ErrUnavailable
	case <-timeout.C:
		return ErrUnavailable
	}
}

// Close writes the lines that wait, for at most a second, and closes the target. If a system call
// blocks for longer, its goroutine is left. Lines are no longer accepted.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.update(func(q *queue) { q.closed = true })
	l.signal(true)
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case <-l.done:
	case <-timeout.C:
	}
	l.update(func(q *queue) {
		if n := q.unwritten(); n > 0 {
			l.o.Log.Error().Int64("lines", n).Msg("audit lines lost")
		}
	})
}

func (l *Log) update(f func(*queue)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.queue)
}

// signal wakes the writer, which waits for further lines unless it is urgent.
func (l *Log) signal(urgent bool) {
	if urgent {
		signal(l.urgent)
	}
	signal(l.wake)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

var lines = sync.Pool{New: func() any { return new(line) }}

// enqueue adds a line to the queue. It returns false if it is lost. written, if not nil, is closed
// when the line is written.
func (l *Log) enqueue(e Event, written chan struct{}) (queued bool) {
	x := lines.Get().(*line)
	defer lines.Put(x)
	x.begin(e, l.most, l.o.FullCommands)
	var report int64
	l.update(func(q *queue) {
		switch queued = q.add(l.server, x.b, e.vital()); {
		case !queued:
			report = q.lossToReport()
		case written != nil:
			q.waiters = append(q.waiters, written)
		}
	})
	if report > 0 {
		l.o.Log.Error().Int64("lines", report).Msg("audit lines are lost: the audit log is not written fast enough")
	}
	l.signal(written != nil)
	return queued
}
