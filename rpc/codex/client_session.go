package codex

import (
	"context"
	"errors"
	"sync"
	"time"
)

// clientSession is a session of the protocol: the processes of one client, over any number of
// connections, one at a time. It belongs to a principal.
type clientSession struct {
	handler   *Handler
	id        string
	principal string

	ctx context.Context // ends with the session
	end context.CancelCauseFunc
	wg  sync.WaitGroup // the goroutines of process.run

	mu        sync.Mutex
	processes map[string]*process
	started   int64         // how many processes were added
	conn      *conn         // nil while there is none
	changed   chan struct{} // closed when conn changes
	expiry    *time.Timer   // runs while there is no connection
	ended     bool
}

var errSessionEnded = errors.New("the session has ended")

func newClientSession(h *Handler, id, principal string) *clientSession {
	s := &clientSession{
		handler: h, id: id, principal: principal,
		processes: make(map[string]*process),
		changed:   make(chan struct{}),
	}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	return s
}

// connection returns the connection of the session, or nil, and a channel that is closed when it is
// another one.
func (s *clientSession) connection() (*conn, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn, s.changed
}

// attach makes c the connection of the session. If it has one, it is returned; if the session has ended,
// ok is false.
func (s *clientSession) attach(c *conn) (other *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.conn != nil {
		return s.conn, !s.ended
	}
	for _, p := range s.processes {
		p.mu.Lock()
		p.resumed = true
		p.mu.Unlock()
	}
	s.setConn(c)
	return nil, true
}

// setConn sets the connection. s.mu is held.
func (s *clientSession) setConn(c *conn) {
	s.conn = c
	close(s.changed)
	s.changed = make(chan struct{})
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
}

// detach is called when a connection has ended. The session ends unless it is resumed in time.
func (s *clientSession) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c || s.ended {
		return
	}
	s.setConn(nil)
	var expiry *time.Timer
	expiry = time.AfterFunc(s.handler.o.Resume, func() {
		s.mu.Lock()
		current := s.expiry == expiry
		s.mu.Unlock()
		if current {
			s.handler.remove(s)
		}
	})
	s.expiry = expiry
}

// finish ends the session and all its processes, and waits for the goroutines of these. It does not wait
// until the trees have ended.
func (s *clientSession) finish() {
	s.mu.Lock()
	s.ended = true
	s.setConn(nil)
	s.mu.Unlock()
	s.end(errSessionEnded)
	s.wg.Wait()
}

// idle reports whether the session has neither a connection nor a process.
func (s *clientSession) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil && len(s.processes) == 0
}

// add adds a process that is about to start.
func (s *clientSession) add(id string, stdin bool) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return nil, invalidRequest("%v", errSessionEnded)
	case s.processes[id] != nil:
		return nil, invalidRequest("process %s already exists", clip(id))
	case len(s.processes) >= s.handler.o.MaxProcesses && !s.forgetOldest():
		return nil, invalidRequest("the session has %d processes, which is the limit", len(s.processes))
	}
	p := newProcess(s, id, stdin)
	s.started++
	p.number = s.started
	s.processes[id] = p
	return p, nil
}

// start begins the goroutine of a process that runs. It returns false if the session has ended: then the
// caller disconnects the process.
func (s *clientSession) start(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.wg.Go(p.run)
	return true
}

// remove forgets a process.
func (s *clientSession) remove(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(p)
}

func (s *clientSession) removeLocked(p *process) {
	if s.processes[p.id] == p {
		delete(s.processes, p.id)
	}
	p.forget(errForgotten)
}

var errForgotten = errors.New("the process is not known any more")

// forgetOldest forgets the oldest process that is over, and reports whether there was one. s.mu is held.
func (s *clientSession) forgetOldest() bool {
	var oldest *process
	for _, p := range s.processes {
		if (oldest == nil || p.number < oldest.number) && p.over() {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	s.removeLocked(oldest)
	return true
}

// find returns a process, or nil.
func (s *clientSession) find(id string) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.processes[id]
}
