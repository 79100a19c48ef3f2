//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// expectRecord returns an error unless a session ended for this reason, with this exit code; -1 is
// none.
func expectRecord(rec *rpc.Completion, err error, reason string, code int) error {
	if err != nil {
		return err
	}
	if got := -1; rec.ExitCode != nil {
		got = *rec.ExitCode
		if got != code {
			return fmt.Errorf("exit code %d, want %d: %+v", got, code, rec)
		}
	} else if code != got {
		return fmt.Errorf("no exit code, want %d: %+v", code, rec)
	}
	if rec.Reason != reason {
		return fmt.Errorf("reason %s, want %s: %+v", rec.Reason, reason, rec)
	}
	return nil
}

// shortCommands runs short commands one after the other, as fast as the server does it.
func (a *actor) shortCommands(ctx context.Context) error {
	c, err := a.connect(ctx, "short commands")
	if err != nil {
		return err
	}
	defer c.Close()
	for range 20 {
		rec, err := c.run(ctx, argv("true"), client.Events{})
		if err := expectRecord(rec, err, rpc.ReasonExited, 0); err != nil {
			return err
		}
	}
	return nil
}

// waitedCommands runs commands by one call each, several at a time.
func (a *actor) waitedCommands(ctx context.Context) error {
	c, err := a.connect(ctx, "waited command")
	if err != nil {
		return err
	}
	defer c.Close()
	errs := make([]error, 3)
	var calls sync.WaitGroup
	for i := range errs {
		p := shell(fmt.Sprintf("echo out %d; echo err >&2; exit %d", i, i))
		p.Wait, p.SessionID = true, a.newID()
		a.ledger.ask(a.key(p.SessionID), c.what)
		calls.Go(func() {
			var r rpc.Captured
			err := c.CallIdempotent(ctx, rpc.MethodExecute, p, &r)
			a.ledger.answer(a.key(p.SessionID), err)
			if err == nil {
				a.ledger.completed(a.key(p.SessionID), &r.Completion)
				if r.Stdout == nil || *r.Stdout != fmt.Sprintf("out %d\n", i) {
					err = fmt.Errorf("captured output: %+v", r)
				}
			}
			errs[i] = expectRecord(&r.Completion, err, rpc.ReasonExited, i)
		})
	}
	calls.Wait()
	return errors.Join(errs...)
}

// batch sends an array of requests of which some are wrong.
func (a *actor) batch(ctx context.Context) error {
	ws, err := a.dialWebSocket(ctx)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	id := a.newID()
	a.ledger.ask(a.key(id), "batch")
	items := []string{
		`{"jsonrpc":"2.0","id":1,"method":"execute","params":{"session_id":"` + id + `","command":["echo","batch"],"wait":true}}`,
		`{"jsonrpc":"2.0","id":2,"method":"status","params":{"session_id":"` + a.newID() + `"}}`,
		`{"jsonrpc":"2.0","id":3,"method":"no such method"}`,
		`{"jsonrpc":"2.0","id":4,"method":"list","params":{"limit":1}}`,
		`17`,
		`{"jsonrpc":"2.0","method":"pong"}`, // a notification has no reply
	}
	if err := ws.Write(ctx, websocket.MessageText, []byte("["+strings.Join(items, ",")+"]")); err != nil {
		return err
	}
	for {
		_, text, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		var replies []struct {
			ID     *int
			Result rpc.Captured
			Error  *rpc.Error
		}
		if json.Unmarshal(text, &replies) != nil { // a notification
			continue
		}
		if len(replies) != 5 {
			return fmt.Errorf("%d replies: %s", len(replies), text)
		}
		for _, r := range replies {
			if r.ID == nil || *r.ID != 1 {
				continue
			}
			if r.Error != nil {
				a.ledger.answer(a.key(id), r.Error)
				return r.Error
			}
			a.ledger.completed(a.key(id), &r.Result.Completion)
		}
		return nil
	}
}

// repeatedExecute sends the same execute on two connections at the same time: one creates the
// session, both receive its record. Other params with the same id are refused.
func (a *actor) repeatedExecute(ctx context.Context) error {
	first, err := a.connect(ctx, "repeated execute")
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := a.connect(ctx, "repeated execute")
	if err != nil {
		return err
	}
	defer second.Close()
	p := shell("read line; echo $line")
	p.SessionID, p.Stdin = a.newID(), rpc.StdinPipe
	sessions, errs := make([]*client.Session, 2), make([]error, 2)
	var calls sync.WaitGroup
	for i, c := range []*soakClient{first, second} {
		calls.Go(func() { sessions[i], errs[i] = c.execute(ctx, p, client.Events{}) })
	}
	calls.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if created := sessions[0].Started().Created; created == sessions[1].Started().Created {
		return fmt.Errorf("created by both connections: %v", created)
	}
	other := p
	other.Command.Shell = "echo other"
	if err := second.Call(ctx, rpc.MethodExecute, other, nil); !errors.Is(err, &rpc.Error{Code: rpc.CodeSessionExists}) {
		return fmt.Errorf("another execute with the same id: %v", err)
	}
	if err := sessions[0].WriteBytes(ctx, []byte("line\n"), true); err != nil {
		return err
	}
	for _, s := range sessions {
		rec, err := s.Wait(ctx)
		if err := expectRecord(rec, err, rpc.ReasonExited, 0); err != nil {
			return err
		}
	}
	return nil
}

// failingStarts executes what cannot be executed.
func (a *actor) failingStarts(ctx context.Context) error {
	c, err := a.connect(ctx, "failing start")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, p := range []rpc.ExecuteParams{
		argv("/no/such/program"),
		argv("/etc/passwd"),
		argv("true", strings.Repeat("x", 200_000)),
		{Command: rpc.Command{Shell: "true"}, Cwd: "/no/such/directory"},
		{Command: rpc.Command{Shell: "true"}, SessionID: "no-uuid"},
	} {
		_, err := c.execute(ctx, p, client.Events{})
		if !a.access.failedStart(err) {
			return fmt.Errorf("executing %.50v: %w", p.Command, err)
		}
	}
	return nil
}

// notFound reports whether a request was refused because its session does not exist (any more).
func notFound(err error) bool { return errors.Is(err, &rpc.Error{Code: rpc.CodeSessionNotFound}) }
