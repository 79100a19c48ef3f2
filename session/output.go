package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// readers copy the output of a process to the log. A goroutine of theirs runs only while there is
// something to read.
type readers struct {
	all     []*reader
	running atomic.Int32  // those that have not reached the end
	done    chan struct{} // closed when none is left
}

// reader copies one pipe.
type reader struct {
	*stream.Reader
	pipe    *process.Pipe
	readers *readers
	session *Session
	parked  atomic.Bool // all that was read is in the log
	ended   atomic.Bool
}

// readOutput starts the readers.
func (s *Session) readOutput(p *process.Process) *readers {
	r := &readers{all: make([]*reader, 0, 2), done: s.outputEnded}
	kind := stream.Stdout
	if s.spec.Program.Terminal != nil {
		kind = stream.PTY
	}
	r.add(s, kind, p.Stdout())
	if p.Stderr() != nil { // else it is the same file as stdout
		r.add(s, stream.Stderr, p.Stderr())
	}
	r.running.Store(int32(len(r.all)))
	for _, x := range r.all {
		x.park()
	}
	return r
}

func (r *readers) add(s *Session, kind stream.Kind, pipe *process.Pipe) {
	o := s.spec.Output
	o.Kind, o.OnRead = kind, s.streamTimeout.Touch
	r.all = append(r.all, &reader{Reader: stream.NewReader(pipe, s.log, o), pipe: pipe, readers: r, session: s})
}

// park waits without a goroutine until there may be something to read.
func (x *reader) park() {
	x.parked.Store(true)
	x.pipe.Park(x)
}

// Resume is called when there may be something to read. It must not block. A goroutine for the mere
// end of a pipe would delay the end of a short command.
func (x *reader) Resume() {
	if x.Empty() && x.pipe.AtEnd() {
		x.end()
		return
	}
	x.parked.Store(false)
	go x.read()
}

// read reads what there is.
func (x *reader) read() {
	switch err := x.Run(); err {
	case process.ErrWouldBlock:
		x.park()
		return
	case nil:
	default:
		x.session.logged(x.session.reg.o.Log.Warn()).Err(err).Msg("reading output")
	}
	x.end()
}

func (x *reader) end() {
	x.ended.Store(true)
	if x.readers.running.Add(-1) == 0 {
		close(x.readers.done)
	}
}

// settleInterval is how often the pipes of a command that has exited are checked.
const settleInterval = time.Millisecond

// settled reports whether all that was written before the call is in the log, as far as the descriptors
// show it: if a descendant writes all the time, it never is.
func (r *readers) settled() bool {
	for _, x := range r.all {
		if x.ended.Load() {
			continue
		}
		// The second look at parked finds what was read between the first one and the look at the pipe.
		if !x.parked.Load() || x.pipe.Readable() || !x.parked.Load() {
			return x.ended.Load()
		}
	}
	return true
}

// finish makes the readers read what is in the pipes without waiting for more, and waits for them.
func (r *readers) finish() {
	for _, x := range r.all {
		x.Finish()
	}
	<-r.done
}

// blockedDeadlines pauses deadlines while a client blocks the log, and so the process.
type blockedDeadlines struct {
	mu      sync.Mutex
	blocked bool
	all     []*stream.Deadline
}

func (b *blockedDeadlines) add(d *stream.Deadline) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, d)
	if b.blocked {
		d.Pause()
	}
}

// set is LogOptions.OnBlocked. It is called with the log's lock held.
func (b *blockedDeadlines) set(blocked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked = blocked
	for _, d := range b.all {
		if blocked {
			d.Pause()
		} else {
			d.Resume()
		}
	}
}
