package session

import (
	"sync"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// readers are the goroutines that copy the output of a process to the log.
type readers struct {
	all     []*stream.Reader
	running atomic.Int32
	done    chan struct{} // closed when none runs
}

// readOutput starts the readers.
func (s *Session) readOutput(p *process.Process) *readers {
	r := &readers{done: make(chan struct{})}
	kind := stream.Stdout
	if s.spec.Program.Terminal != nil {
		kind = stream.PTY
	}
	if p.Stderr() == nil { // stderr is the same file as stdout
		r.running.Store(1)
		r.start(s, kind, p.Stdout())
		return r
	}
	r.running.Store(2)
	r.start(s, kind, p.Stdout())
	r.start(s, stream.Stderr, p.Stderr())
	return r
}

func (r *readers) start(s *Session, kind stream.Kind, pipe *process.Pipe) {
	o := s.spec.Output
	o.Kind, o.OnRead = kind, s.streamTimeout.Touch
	reader := stream.NewReader(pipe, s.log, o)
	r.all = append(r.all, reader)
	go func() {
		if err := reader.Run(); err != nil {
			s.reg.o.Log.Warn().Err(err).Str("session", s.spec.ID).Msg("reading output")
		}
		if r.running.Add(-1) == 0 {
			close(r.done)
		}
	}()
}

// finish makes the readers read what is in the pipes without waiting for more, and waits for them.
func (r *readers) finish() {
	for _, reader := range r.all {
		reader.Finish()
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
