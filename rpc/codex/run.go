package codex

import (
	"context"
	"encoding/base64"
	"runtime/debug"
	"strconv"

	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// run sends the events of a process to the connection of its client session, in their order, until the
// process is forgotten, at the latest with the client session. While there is no connection, it reads
// nothing from the log: the command waits when the log is full, and nothing is lost.
//
//	log ──Next──▶ event (seq, position) ──▶ frame ──▶ queue of the connection
//	                                          ▲
//	         rewind, after a lost connection ─┘ read from the log again
func (p *process) run() {
	defer p.att.Disconnect() // the tree ends, also what the command has left behind
	p.guard(p.sendEvents)
}

// guard ends the process if f panics, which is a bug and must not end the server.
func (p *process) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			p.client.handler.o.Log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Msg("process panicked")
			p.client.remove(p)
		}
	}()
	f()
}

func (p *process) sendEvents() {
	for {
		c, changed := p.client.connection()
		if c == nil {
			if await(p.ctx, changed) != nil {
				return
			}
			continue
		}
		sent, err := p.sendNext(c)
		switch {
		case err != nil: // the connection has ended
			if await(p.ctx, changed) != nil {
				return
			}
		case sent:
		case p.awaitEvent(changed) != nil:
			return
		}
	}
}

// awaitEvent waits until there may be an event to send.
func (p *process) awaitEvent(changed <-chan struct{}) error {
	ended := p.session.OutputEnded()
	if p.sawEnd {
		ended = nil
	}
	select {
	case <-p.wakeup:
	case <-ended:
	case <-changed:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	return nil
}

// sendNext sends the next event, and reports whether there was one. One connection makes one frame at a
// time, so that its memory is bounded.
func (p *process) sendNext(c *conn) (sent bool, err error) {
	if err := c.lockFrame(); err != nil {
		return false, err
	}
	defer c.unlockFrame()
	frame, seq := p.nextFrame(c.ctx)
	if frame == nil {
		return false, nil
	}
	if err := c.send(outgoing{frame: frame, reuse: true}); err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent == seq { // else a read has moved it back
		p.sent = seq + 1
	}
	return true, nil
}

// nextFrame returns the notification of the next event to send and its seq, or nil.
func (p *process) nextFrame(ctx context.Context) (frame []byte, seq int64) {
	p.mu.Lock()
	seq = max(p.sent, p.events.first)
	p.sent = seq
	known := seq < p.events.next()
	var begin, end int64
	if known {
		begin, end = p.events.span(seq) // before another event moves them
	}
	output := seq != p.exitSeq && seq != p.closeSeq
	p.mu.Unlock()
	switch {
	case known && output:
		return p.knownFrame(ctx, seq, begin, end), seq
	case known:
		return p.eventFrame(seq), seq
	}
	for {
		p.sawEnd = isDone(p.session.OutputEnded())
		it, ok := p.att.Next()
		if ok {
			p.at = it.To
			if frame, seq := p.itemFrame(&it); frame != nil {
				return frame, seq
			}
			continue
		}
		if !p.sawEnd {
			return nil, 0
		}
		return p.closeFrame()
	}
}

// itemFrame adds the event of an item of the log, and returns its notification. It returns nil if the
// client gets none.
func (p *process) itemFrame(it *stream.Item) (frame []byte, seq int64) {
	if it.Gap {
		p.update(func() { p.failure = strconv.FormatInt(it.Lost, 10) + " bytes of output were lost" })
		return nil, 0
	}
	if it.Kind != stream.Event {
		p.update(func() { seq = p.events.add(it.To) })
		return p.outputFrame(seq, it.Kind, it.Data), seq
	}
	code := unknownExit
	switch e := it.Event.(type) {
	case *session.LeaderExit:
		code = exitCode(e.Code, e.Signal, e.Known)
	case *session.Record:
		code = exitCode(e.Exit.Code, e.Exit.Signal, e.Exit.Known)
	default:
		return nil, 0
	}
	p.update(func() {
		if p.exitSeq == 0 {
			p.noteExit(code)
			seq = p.exitSeq
		}
		if _, last := it.Event.(*session.Record); last {
			p.noteClose()
			if seq == 0 && p.sent == p.closeSeq {
				seq = p.closeSeq
			}
		}
	})
	if seq == 0 {
		return nil, 0
	}
	return p.eventFrame(seq), seq
}

// closeFrame adds the event that no output follows, and returns its notification, once the log was read
// to its end, which has all output, and the exit is known.
func (p *process) closeFrame() (frame []byte, seq int64) {
	if _, last := p.session.Log().Bounds(); p.at < last {
		return nil, 0
	}
	p.update(func() {
		if p.exitSeq != 0 && p.closeSeq == 0 {
			p.noteClose()
			seq = p.closeSeq
		}
	})
	if seq == 0 {
		return nil, 0
	}
	return p.eventFrame(seq), seq
}

// knownFrame returns the notification of output that was added before, and was not sent, or not to this
// connection.
func (p *process) knownFrame(ctx context.Context, seq, begin, end int64) []byte {
	r := p.openReader(begin)
	defer r.close()
	kind, data, err := r.until(ctx, end)
	if err != nil {
		p.update(func() { p.failure = err.Error() })
	}
	return p.outputFrame(seq, kind, data)
}

// eventFrame returns the notification of the exit or of the close.
func (p *process) eventFrame(seq int64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq == p.closeSeq {
		return notification("process/closed", closedNotification{p.id, seq})
	}
	return notification("process/exited", exitedNotification{p.id, seq, p.exitCode, false})
}

type closedNotification struct {
	ProcessID string `json:"processId"`
	Seq       int64  `json:"seq"`
}

type exitedNotification struct {
	ProcessID     string `json:"processId"`
	Seq           int64  `json:"seq"`
	ExitCode      int    `json:"exitCode"`
	SandboxDenied bool   `json:"sandboxDenied"`
}

// streams are the names of the kinds of output.
var streams = map[stream.Kind]string{stream.Stdout: "stdout", stream.Stderr: "stderr", stream.PTY: "pty"}

// outputFrame returns the notification of output. It is what most of the time is spent on, and made
// without reflection.
func (p *process) outputFrame(seq int64, kind stream.Kind, data []byte) []byte {
	b := frameBuffer(len(p.quoted) + base64.StdEncoding.EncodedLen(len(data)) + 128)
	b = append(b, `{"method":"process/output","params":{"processId":`...)
	b = append(b, p.quoted...)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, `,"stream":"`...)
	b = append(b, streams[kind]...)
	b = append(b, `","chunk":"`...)
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, `"}}`...)
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
