package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// restartSignal ends a server that will be started again. It can be RestartKillSignal= of
// systemd.kill(5).
const restartSignal = syscall.SIGUSR2

// errRestart is the cause of a context that restartSignal has ended.
var errRestart = errors.New("the server restarts")

// stopSignals are the signals that end a server.
var stopSignals = sync.OnceValue(func() []os.Signal {
	if reloadsOnHangup() {
		return notIgnored(syscall.SIGTERM, syscall.SIGINT, restartSignal)
	}
	return notIgnored(syscall.SIGTERM, syscall.SIGINT, restartSignal, syscall.SIGHUP)
})

// untilStopped is signal.NotifyContext for stopSignals. The first signal decides whether the cause is
// errRestart.
func untilStopped(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, stopSignals()...)
	go func() {
		select {
		case s := <-signals:
			if s == restartSignal {
				cancel(errRestart)
			}
			cancel(nil)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
