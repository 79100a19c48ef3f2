package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// stopTime bounds what is said to the server before this process stops.
const stopTime = 2 * time.Second

// stops makes Ctrl-Z stop the command, too, as it would here. Before this process stops it detaches: it can't
// answer the server's pings then, and the drop of its connection must not end the command.
type stops struct{ signals chan os.Signal }

// listen takes SIGTSTP, unless it was ignored already.
func (z *stops) listen() (stop func()) {
	z.signals = make(chan os.Signal, 1)
	for _, s := range unlessIgnored(syscall.SIGTSTP) {
		signal.Notify(z.signals, s)
	}
	return func() { signal.Stop(z.signals) }
}

// follow deals with stops until ctx is done.
func (z *stops) follow(ctx context.Context, s *client.Session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-z.signals:
			z.stop(ctx, s)
		}
	}
}

func (z *stops) stop(ctx context.Context, s *client.Session) {
	short, cancel := context.WithTimeout(ctx, stopTime)
	paused := s.Control(short, rpc.ControlPause) == nil
	_ = s.Suspend(short)
	cancel()
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	_ = s.Follow(ctx)
	if paused {
		_ = s.Control(ctx, rpc.ControlResume)
	}
}
