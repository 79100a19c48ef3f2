//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// attaches lets a second connection attach to a session while it runs, and sometimes take it.
func (a *actor) attaches(ctx context.Context) error {
	first, err := a.connect(ctx, "attach")
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := a.connect(ctx, "attach")
	if err != nil {
		return err
	}
	defer second.Close()
	s, err := first.execute(ctx, a.lines(), client.Events{})
	if err != nil {
		return err
	}
	var r received
	e := r.events()
	e.Raw = second.raw
	if a.chance(2) {
		e.Window = 32 << 10
	}
	take := a.chance(2)
	attached, _, err := second.Attach(ctx, rpc.AttachParams{SessionID: s.ID(), Take: take}, e)
	if err != nil {
		return removed(err)
	}
	rec, err := attached.Wait(ctx)
	if err := r.expectCounted(rec, err); err != nil {
		return err
	}
	if !take {
		_, err = s.Wait(ctx)
	}
	return err
}

// removed returns nil for the error of a session that the server does not keep any more.
func removed(err error) error {
	if notFound(err) {
		return nil
	}
	return err
}

// reconnects loses its connection a few times while it reads.
func (a *actor) reconnects(ctx context.Context) error {
	ready := make(chan struct{}, 8)
	c, err := a.connectWith(ctx, "reconnect", client.Options{Reconnect: &client.Reconnect{
		Timeout: soakActionTimeout, Restored: func() { ready <- struct{}{} },
	}})
	if err != nil {
		return err
	}
	defer c.Close()
	p := shell(fmt.Sprintf("seq 1 30000; sleep 0.1; seq 30001 60000; sleep 0.1; seq 60001 %d", soakLines))
	p.OnDisconnect = rpc.OnDisconnectKeep
	var r received
	s, err := c.execute(ctx, p, r.events())
	if err != nil {
		return err
	}
	for range a.random.IntN(3) {
		a.pause(100)
		c.resetLink()
		select {
		case <-ready:
		case <-s.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	rec, err := s.Wait(ctx)
	var refusal *rpc.Error
	if errors.As(err, &refusal) {
		return removed(err)
	}
	return r.expectCounted(rec, err)
}

// floods sends requests without reading any reply, and goes.
func (a *actor) floods(ctx context.Context) error {
	c, err := a.connect(ctx, "flood")
	if err != nil {
		return err
	}
	defer c.Abort()
	if _, err := c.execute(ctx, argv("yes"), client.Events{}); err != nil {
		return err
	}
	c.link.slow(time.Second, 1)
	for i := range 1000 {
		method, params := rpc.MethodList, any(rpc.ListParams{})
		if i%2 == 0 {
			method, params = rpc.MethodStatus, rpc.SessionParams{SessionID: a.newID()}
		}
		sendCtx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		err := c.Notify(sendCtx, method, params)
		cancel()
		if err != nil { // the server takes no more
			break
		}
	}
	c.link.reset()
	return nil
}
