package codex

import (
	"context"
	"errors"
	"slices"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
)

const (
	// maxWriteIDs is how many of the newest ids of writes to a process are known, so that a write that
	// is sent again is not carried out again.
	maxWriteIDs = 1024
	// maxWriteIDBytes is the longest id of a write.
	maxWriteIDBytes = 256
	// maxWaitingWrites is how many writes of a connection may wait for a command to read its stdin.
	maxWaitingWrites = 16
)

// The results of a process/write.
const (
	writeAccepted       = "accepted"
	writeUnknownProcess = "unknownProcess"
	writeStdinClosed    = "stdinClosed"
	writeStarting       = "starting"
)

type writeParams struct {
	ProcessID string `json:"processId"`
	Chunk     []byte `json:"chunk"` // encoding/json reads base64
	WriteID   string `json:"writeId"`
}

type writeResult struct {
	Status string `json:"status"`
}

// writes are the newest writes to a process, by their ids. process.mu protects it.
type writes struct {
	byID  map[string]*session.Write
	order []string
}

// find returns a write with that id.
func (w *writes) find(id string) *session.Write { return w.byID[id] }

func (w *writes) add(id string, write *session.Write) {
	if w.byID == nil {
		w.byID = make(map[string]*session.Write)
	}
	if len(w.order) == maxWriteIDs {
		delete(w.byID, w.order[0])
		w.order = append(w.order[:0], w.order[1:]...)
	}
	w.byID[id] = write
	w.order = append(w.order, id)
}

// withdraw takes a write back that was not accepted yet.
func (p *process) withdraw(id string, w *session.Write) {
	if !p.session.Withdraw(w) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writes.byID[id] == w {
		delete(p.writes.byID, id)
		p.writes.order = slices.DeleteFunc(p.writes.order, func(x string) bool { return x == id })
	}
}

// submit submits a write, or returns the one that was submitted with the same id before. status is the
// result if there is none.
func (p *process) submit(c *server.Caller, q *writeParams) (w *session.Write, status string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.started:
		return nil, writeStarting, nil
	case !p.stdin:
		return nil, writeStdinClosed, nil
	}
	if w := p.writes.find(q.WriteID); w != nil && q.WriteID != "" {
		return w, "", nil
	}
	if w, err = c.Write(p.session, q.Chunk); err != nil {
		return nil, "", err
	}
	if q.WriteID != "" {
		p.writes.add(q.WriteID, w)
	}
	return w, "", nil
}

// awaitWrite waits until a write was accepted. A write whose connection has ended goes on: the client
// sends it again with its id.
func awaitWrite(ctx context.Context, w *session.Write) (writeResult, error) {
	if err := await(ctx, w.Done); err != nil {
		return writeResult{}, err
	}
	var closed *session.StdinError
	switch {
	case w.Err == nil:
		return writeResult{writeAccepted}, nil
	case errors.As(w.Err, &closed):
		return writeResult{writeStdinClosed}, nil
	}
	return writeResult{}, rpc.Internal()
}
