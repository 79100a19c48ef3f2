package codex

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// process is a command of a client session, and what the client was told about it.
type process struct {
	client *clientSession
	id     string
	quoted []byte // id as JSON
	stdin  bool   // a pipe or a terminal

	number int64 // later processes of the client session have larger ones

	ctx    context.Context // ends when the process is forgotten
	forget context.CancelCauseFunc
	wakeup chan struct{} // wakes the goroutine of run; holds one token

	// These are set when the command has started, and do not change.
	session *session.Session
	att     *session.Attachment

	// These belong to the goroutine of run.
	at     int64 // the log was read up to there
	sawEnd bool  // the output had ended before the log was read last

	mu         sync.Mutex
	started    bool
	terminated bool // before it has started
	events     chunks
	exitSeq    int64 // 0 until the exit is known
	exitCode   int
	closeSeq   int64     // 0 until all output was read
	failure    string    // why the output is not complete
	sent       int64     // the seq of the next event to send
	resumed    bool      // since the last read
	reading    int       // reads that are carried out, until their replies are written
	readAt     time.Time // the end of the last one
	changed    chan struct{}
	writes     writes
}

func newProcess(c *clientSession, id string, stdin bool) *process {
	p := &process{
		client: c, id: id, quoted: marshal(id), stdin: stdin,
		wakeup:  make(chan struct{}, 1),
		changed: make(chan struct{}),
		events:  chunks{first: 1},
		sent:    1,
	}
	p.ctx, p.forget = context.WithCancelCause(c.ctx)
	return p
}

// over reports whether the client was told that the process is closed, and no background process is
// left, so that it can be forgotten.
func (p *process) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closeSeq != 0 && p.sent > p.closeSeq && isDone(p.session.Done())
}

// wake wakes the goroutine of run. It does not block.
func (p *process) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// update calls f with the lock held, and wakes the requests that wait for an event.
func (p *process) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// attachOptions are for the start. The command waits while its output is not sent.
func (p *process) attachOptions() session.AttachOptions {
	return session.AttachOptions{
		Cursor:     stream.CursorOptions{Block: true, Ready: p.wake},
		OnDetached: p.lost,
	}
}

// begin is called when the command runs.
func (p *process) begin(s *session.Session, a *session.Attachment) (terminated bool) {
	p.session, p.att = s, a
	p.update(func() { p.started, terminated = true, p.terminated })
	return terminated
}

// lost is called when another connection has taken the session over.
func (p *process) lost() {
	p.update(func() {
		if !p.started { // the start has failed
			return
		}
		p.failure = "another connection has taken the session over"
		p.noteExit(unknownExit)
		p.noteClose()
	})
	p.wake()
}

// unknownExit is the exit code of a command whose status is not known.
const unknownExit = -1

// exitCode returns the exit code of a command: its own, or 128 and the number of the signal that has
// ended it, as shells have it.
func exitCode(code int, signal syscall.Signal, known bool) int {
	switch {
	case !known:
		return unknownExit
	case signal != 0:
		return 128 + int(signal)
	}
	return code
}

// exited reports whether the command has exited, even if the client was not told yet.
func (p *process) exited() bool {
	p.mu.Lock()
	started, exited := p.started, p.exitSeq != 0
	p.mu.Unlock()
	if !started || exited {
		return exited
	}
	v := p.session.View()
	return v.LeaderExit != nil || v.Record != nil
}

// running returns the session of the command, or nil if it has not started.
func (p *process) running() *session.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started {
		return nil
	}
	return p.session
}

// begun reports whether the command runs. If it is starting, it is terminated as soon as it runs.
func (p *process) begun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.terminated = !p.started
	return p.started
}

// noteExit adds the event of the exit, unless there is one. p.mu is held, as for all methods note….
func (p *process) noteExit(code int) {
	if p.exitSeq == 0 {
		p.exitCode = code
		p.exitSeq = p.noteEvent()
	}
}

// noteClose adds the event that no output follows, unless there is one. The exit is known.
func (p *process) noteClose() {
	if p.closeSeq == 0 {
		p.closeSeq = p.noteEvent()
		p.client.retire(p, p.client.handler.o.ClosedRetention)
	}
}

// noteEvent adds an event that is not output.
func (p *process) noteEvent() (seq int64) {
	end := p.events.begin
	if n := len(p.events.ends); n > 0 {
		end = p.events.ends[n-1]
	}
	return p.events.add(end)
}

// await waits until a channel is closed. The error is the cause of a context that is done before.
func await(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
