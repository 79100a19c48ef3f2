//go:build linux

package main

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// queues executes commands that wait for a slot if there is none. They run, or are canceled, or their
// time passes, or the connection is closed meanwhile.
func (a *actor) queues(ctx context.Context) error {
	c, err := a.connect(ctx, "queue")
	if err != nil {
		return err
	}
	defer c.Close()
	var all []*client.Session
	for range 1 + a.random.IntN(8) {
		p := shell("sleep 0.05; exit 3")
		p.SessionID = a.newID()
		p.QueueTimeout = oneOf(a, seconds(0.05), seconds(2), rpc.Seconds{Set: true, Null: true})
		a.ledger.ask(a.key(p.SessionID), "queue")
		s, err := c.Execute(ctx, p, client.Events{Raw: c.raw})
		if err != nil {
			a.ledger.answer(a.key(p.SessionID), err)
			return err
		}
		all = append(all, s)
	}
	canceled := all[0]
	switch a.random.IntN(4) {
	case 0:
		c.resetLink()
		return nil
	case 1:
		err = removed(c.Call(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: canceled.ID()}, nil))
	default:
		canceled = nil
	}
	for _, s := range all {
		if e := a.awaitQueued(ctx, s, s == canceled); err == nil || e != nil && refused(err) {
			err = e
		}
	}
	return err
}

// awaitQueued waits for the end of a session that may have waited for a slot.
func (a *actor) awaitQueued(ctx context.Context, s *client.Session, canceled bool) error {
	rec, err := s.Wait(ctx)
	if notFound(err) { // it was removed already
		return nil
	}
	a.ledger.answer(a.key(s.ID()), err)
	var failed *rpc.Error
	switch {
	case errors.As(err, &failed) && canceled && failed.Code == rpc.CodeRequestCanceled:
		return nil
	case err != nil:
		return err
	case canceled && (rec.Reason == rpc.ReasonCanceled || rec.Reason == rpc.ReasonExited):
		return nil
	}
	return expectRecord(rec, nil, rpc.ReasonExited, 3)
}
