package codex

import (
	"context"
	"encoding/base64"

	"github.com/runnel-rpc/runnel/rpc/budget"
	"github.com/runnel-rpc/runnel/rpc/files"
)

// largeReply is the turn of a connection to make a large reply, and memory for it. It is held until the
// reply is written, so a client that does not read makes one at most.
type largeReply struct {
	c      *conn
	memory *budget.Held
	queued func() // called once when the reply is queued, or is not; may be nil
	done   func() // called once when it is written, or is not; may be nil
}

// large calls f to make a reply that takes at most cost bytes, when it is the turn of the reply. It must
// not be called by the goroutine that reads.
func (c *conn) large(cost int64, f func(*largeReply) (any, error)) (a answer) {
	select {
	case c.largeTurn <- struct{}{}:
	case <-c.ctx.Done():
		return result(nil, context.Cause(c.ctx))
	}
	l := &largeReply{c: c}
	defer func() {
		if a.large == nil { // there is no memory, or f has panicked
			l.release()
		}
	}()
	memory, err := c.handler.memory.Take(c.ctx, c.caller.Principal(), cost)
	if err != nil {
		return result(nil, err)
	}
	l.memory = memory
	v, err := f(l)
	return answer{result: v, err: err, large: l}
}

// wasQueued is called when the reply is queued.
func (l *largeReply) wasQueued() {
	if l.queued != nil {
		l.queued()
		l.queued = nil
	}
}

func (l *largeReply) release() {
	l.wasQueued()
	if l.done != nil {
		l.done()
	}
	if l.memory != nil {
		l.memory.Release()
	}
	<-l.c.largeTurn
}

// sendLarge queues the frame of a large reply, and returns when it is written, or the connection has
// ended.
func (c *conn) sendLarge(l *largeReply, frame []byte) error {
	return c.sendHeld(l.memory, frame, l.wasQueued)
}

// sendHeld is sendLarge for a reply that has memory. queued is called when the frame is queued, or is not.
func (c *conn) sendHeld(memory *budget.Held, frame []byte, queued func()) error {
	memory.Resize(min(int64(len(frame)), memory.Units())) // what it was made of is free
	written := make(chan struct{})
	err := c.send(outgoing{frame: frame, written: written})
	queued()
	if err != nil {
		return err
	}
	return await(c.ctx, written)
}

// listFiles makes the handler of an operation on a path that returns a list of files.
func listFiles[P any](of func(*P) *fileParams, f func(*conn, *P, files.Path, *files.Access) (any, error)) func(*conn, *P) answer {
	return func(c *conn, q *P) answer {
		return later(func() answer {
			p, a, err := c.at(of(q), false)
			if err != nil {
				return result(nil, err)
			}
			return c.large(listCost, func(*largeReply) (any, error) { return f(c, q, p, a) })
		})
	}
}

// readWhole reads a file, with memory for its reply.
func (c *conn) readWhole(a *files.Access, p files.Path) answer {
	var size int64
	if m, err := c.files.GetMetadata(c.ctx, a, p); err == nil { // ReadFile returns the error
		size = min(m.Size, files.DefaultMaxReadBytes)
	}
	return c.large(fileCost(size), func(l *largeReply) (any, error) {
		data, err := c.files.ReadFile(c.ctx, a, p)
		c.audit(auditRead, p.Name, "", err)
		if err != nil {
			return nil, err
		}
		if n := fileCost(int64(len(data))); n > l.memory.Units() && !l.memory.Resize(n) {
			return nil, &wireError{Code: codeInternal, Message: "the file has grown, and there is no memory for it now; try again"}
		}
		return readFileResult{data}, nil
	})
}

// encoder is a result that is encoded without the buffers of encoding/json.
type encoder interface {
	// size returns how many bytes append appends at most.
	size() int
	append(b []byte) []byte
}

func (r readFileResult) size() int { return base64.StdEncoding.EncodedLen(len(r.DataBase64)) + 32 }

func (r readFileResult) append(b []byte) []byte {
	b = append(b, `{"dataBase64":"`...)
	b = base64.StdEncoding.AppendEncode(b, r.DataBase64)
	return append(b, `"}`...)
}
