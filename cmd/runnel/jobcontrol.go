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
	// pauseTimeout bounds the requests to the server before this process stops.
	pauseTimeout = 2 * time.Second
	// stopTimeout bounds the wait for the stop of this process, which may not happen: SIGSTOP has
	// no effect on the init process of a PID namespace (pid_namespaces(7)).
	stopTimeout = time.Second
)

// jobControl makes Ctrl-Z pause the command of `run` before this process stops, and resume it when this
// process continues. Before the stop it detaches from the session: this process cannot answer the
// server's pings then, and a closed connection must not end the command.
type jobControl struct {
	signals   chan os.Signal // SIGTSTP
	continued chan os.Signal // SIGCONT
	tty       *terminal      // nil if the command has no terminal
	attached  bool           // by `attach`, which does not pause the session
	repaint   func()         // paints the terminal again
}

// listen catches SIGCONT, and SIGTSTP unless this process was started with it ignored, or is a session
// leader: the kernel does not stop a process of an orphaned process group (setpgid(2)), since no shell
// could continue it.
func (j *jobControl) listen() (stop func()) {
	j.signals, j.continued = make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(j.continued, syscall.SIGCONT)
	stop = func() {
		signal.Stop(j.signals)
		signal.Stop(j.continued)
	}
	if sid, err := unix.Getsid(0); err == nil && sid == os.Getpid() {
		return stop
	}
	if !ignoredAtStart().has(syscall.SIGTSTP) {
		signal.Notify(j.signals, syscall.SIGTSTP)
	}
	return stop
}

// run stops this process on each SIGTSTP until ctx is done. After a stop by SIGSTOP, which cannot be caught,
// the terminal may have been used by a shell.
func (j *jobControl) run(ctx context.Context, s *client.Session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.signals:
			j.suspend(ctx, s)
			select {
			case <-j.continued: // that of suspend
			default:
			}
		case <-j.continued:
			if j.tty.raw() { // else it was closed, after which the kernel sends SIGHUP and SIGCONT
				j.repaint()
			}
		}
	}
}

// suspend pauses the session, stops this process, and resumes the session when this process
// continues.
func (j *jobControl) suspend(ctx context.Context, s *client.Session) {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	short, cancel := context.WithTimeout(ctx, pauseTimeout)
	paused := !j.attached && s.Control(short, rpc.ControlPause) == nil
	_ = s.Suspend(short)
	cancel()
	j.tty.cooked() // for the shell
	stopSelf(continued)
	_ = j.tty.raw()
	if !j.tty.isRaw() || j.tty.out == nil || s.Repaint(ctx) != nil { // the shell has used the screen
		_ = s.Reattach(ctx)
	}
	if paused {
		_ = s.Control(ctx, rpc.ControlResume)
	}
}

// stopSelf stops this process and returns when it continues. The kernel stops the threads one after
// the other, so stopSelf waits for SIGCONT: a thread that is not stopped yet must not attach again.
func stopSelf(continued <-chan os.Signal) {
	select {
	case <-continued: // SIGCONT was sent already
		return
	default:
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	select {
	case <-continued:
	case <-time.After(stopTimeout):
	}
}
