package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// stopTime bounds what is said to the server before this process stops.
	stopTime = 2 * time.Second
	// stopping bounds the wait for a stop that may not come: the init of a container can't stop itself.
	stopping = time.Second
)

// stops makes Ctrl-Z stop the command, too, as it would here. Before this process stops it detaches: it can't
// answer the server's pings then, and the drop of its connection must not end the command.
type stops struct {
	signals chan os.Signal
	tty     *terminal // nil without one
}

// listen takes SIGTSTP, unless it was ignored already, or the kernel would ignore it: there is no shell to bring
// the leader of a kernel session back.
func (z *stops) listen() (stop func()) {
	z.signals = make(chan os.Signal, 1)
	if sid, err := unix.Getsid(0); err == nil && sid == os.Getpid() {
		return func() {}
	}
	if !ignoredAtStart().has(syscall.SIGTSTP) {
		signal.Notify(z.signals, syscall.SIGTSTP)
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
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, syscall.SIGCONT)
	defer signal.Stop(goesOn)
	short, cancel := context.WithTimeout(ctx, stopTime)
	paused := s.Control(short, rpc.ControlPause) == nil
	_ = s.Suspend(short)
	cancel()
	z.tty.cooked() // for the shell that shows up now
	halt(goesOn)
	z.tty.raw()
	_ = s.Reattach(ctx)
	if paused {
		_ = s.Control(ctx, rpc.ControlResume)
	}
}

// halt stops this process, and returns when it goes on. The kernel stops one thread after the other, which is why
// SIGCONT is waited for: to go on before the stop would attach again what then stands still.
func halt(goesOn <-chan os.Signal) {
	select {
	case <-goesOn: // it came already
		return
	default:
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	select {
	case <-goesOn:
	case <-time.After(stopping):
	}
}
