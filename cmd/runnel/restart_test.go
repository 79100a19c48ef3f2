//go:build linux

package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// TestRestart: SIGUSR2 ends a server like SIGTERM, and tells clients to come back: a client of the
// next server continues, with a session of each.
func TestRestart(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, ready := p.serve(t, "--drain=10ms")
	token, err := readToken(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	announced, dropped := make(chan rpc.Shutdown, 2), make(chan error, 2)
	c, err := client.Dial(t.Context(), ready.URL, client.Options{
		Token:     token,
		Shutdown:  func(s rpc.Shutdown) { announced <- s },
		Reconnect: &client.Reconnect{MaxDelay: 100 * time.Millisecond, Dropped: func(err error) { dropped <- err }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	execute := func(command string) *client.Session {
		t.Helper()
		s, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: command}}, client.Events{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := execute("exec sleep 1000")
	server.signal(syscall.SIGUSR2)
	if record, err := s.Wait(ctx); err != nil || record.Reason != rpc.ReasonShutdown {
		t.Errorf("the session has ended with %+v, %v", record, err)
	}
	if err := <-dropped; !strings.Contains(err.Error(), "1012 restarting") {
		t.Error(err)
	}
	if s := <-announced; !s.Restart {
		t.Errorf("announced: %+v", s)
	}
	server.expectExit(0)
	next := p.runnel(t, "serve", "--listen="+hostOf(ready.URL), "--ready-file=ready")
	defer next.signalUntilExit(syscall.SIGTERM)
	if record, err := execute("exit 0").Wait(ctx); err != nil || record.Status != rpc.StatusCompleted {
		t.Errorf("the next session has ended with %+v, %v", record, err)
	}
}
