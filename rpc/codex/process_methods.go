package codex

import "sync/atomic"

// readProcess carries out a process/read.
func readProcess(c *conn, q *readParams) answer {
	p, err := c.running(q.ProcessID)
	if err != nil {
		return result(nil, err)
	}
	if err := c.caller.MayRead(p.session); err != nil {
		return result(nil, err)
	}
	if q.WaitMs == nil || *q.WaitMs <= 0 {
		return later(func() answer { return p.read(c, q) })
	}
	if !take(&c.waitingReads, maxWaitingReads) {
		return result(nil, invalidRequest("%d process/read wait for output, which is the limit", maxWaitingReads))
	}
	return later(func() answer {
		defer c.waitingReads.Add(-1)
		if err := c.withoutSlot(func() error { return p.awaitSeq(c.ctx, q) }); err != nil {
			return result(nil, err)
		}
		return p.read(c, q)
	})
}

// writeProcess carries out a process/write. Writes to a process are accepted in their order.
func writeProcess(c *conn, q *writeParams) answer {
	if len(q.WriteID) > maxWriteIDBytes {
		return result(nil, invalidParams("writeId must have at most %d bytes", maxWriteIDBytes))
	}
	p := c.session.find(q.ProcessID)
	if p == nil {
		return result(writeResult{writeUnknownProcess}, nil)
	}
	w, status, err := p.submit(c.caller, q)
	if w == nil {
		return result(writeResult{status}, err)
	}
	if isDone(w.Done) {
		return result(awaitWrite(c.ctx, w))
	}
	if !take(&c.waitingWrites, maxWaitingWrites) {
		p.withdraw(q.WriteID, w)
		return result(nil, invalidRequest("%d writes wait for a command to read, which is the limit", maxWaitingWrites))
	}
	return later(func() (a answer) {
		defer c.waitingWrites.Add(-1)
		_ = c.withoutSlot(func() error {
			a = result(awaitWrite(c.ctx, w))
			return nil
		})
		return a
	})
}

type signalParams struct {
	ProcessID string `json:"processId"`
	Signal    string `json:"signal"`
}

// signalProcess sends a signal to the whole tree. For a command that has exited meanwhile it does
// nothing.
func signalProcess(c *conn, q *signalParams) answer {
	if q.Signal != "interrupt" {
		return result(nil, invalidParams("signal must be interrupt"))
	}
	p, err := c.running(q.ProcessID)
	if err != nil || p.exited() {
		return result(struct{}{}, err)
	}
	if err = c.caller.Signal(p.session, "SIGINT"); p.exited() {
		err = nil
	}
	return result(struct{}{}, err)
}

type terminateParams struct {
	ProcessID string `json:"processId"`
}

type terminateResult struct {
	Running bool `json:"running"`
}

// terminateProcess ends the whole tree of a command that runs. If the command has exited, it does nothing:
// clients send it after each process/closed, and background processes are to outlive their command.
func terminateProcess(c *conn, q *terminateParams) answer {
	p := c.session.find(q.ProcessID)
	if p == nil || p.exited() {
		return result(terminateResult{false}, nil)
	}
	if err := c.caller.MayCancel(p.running()); err != nil {
		return result(nil, err)
	}
	if !p.begun() {
		return result(terminateResult{true}, nil)
	}
	return result(terminateResult{true}, c.caller.Cancel(p.session))
}

// running returns a process that has started.
func (c *conn) running(id string) (*process, error) {
	p := c.session.find(id)
	if p == nil {
		return nil, unknownProcess(id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started {
		return nil, invalidRequest("process id %s is starting", clip(id))
	}
	return p, nil
}

// take increments n unless it is at its limit.
func take(n *atomic.Int32, limit int32) bool {
	if n.Add(1) > limit {
		n.Add(-1)
		return false
	}
	return true
}

// withoutSlot gives the slot of a request to others while f waits.
func (c *conn) withoutSlot(f func() error) error {
	<-c.slots
	defer func() { c.slots <- struct{}{} }()
	return f()
}
