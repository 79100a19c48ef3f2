package main

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// startEnd is how long a start that a signal ends has to undo what it has done.
const startEnd = 2 * time.Second

// started is what a server has before it serves.
type started struct {
	auth      server.Auth
	host      *process.Host
	listeners []net.Listener
	log       zerolog.Logger
	unready   func() // removes the ready file
}

// startUnlessEnded starts. If ctx ends before that is done it returns nil, with an error where the start blocks in a
// system call that cannot be given up, such as an open on a file system that does not answer.
func (c *serveCmd) startUnlessEnded(ctx context.Context, log zerolog.Logger) (*started, error) {
	var s *started
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		s, err = c.start(ctx, log)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(startEnd): // the process ends, and the goroutine with it
			return nil, errors.New("ended by a signal while the start was blocked")
		}
	}
	if err != nil && errors.Is(err, context.Cause(ctx)) {
		log.Info().Msg("shut down")
		return nil, nil
	}
	return s, err
}

// start makes all that a server needs, or nothing.
func (c *serveCmd) start(ctx context.Context, log zerolog.Logger) (_ *started, err error) {
	s := &started{log: log, unready: func() {}}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	if s.auth, err = c.auth(ctx); err != nil {
		return nil, err
	}
	if s.host, err = c.openHost(log); err != nil {
		return nil, err
	}
	if s.listeners, err = c.listen(ctx); err != nil {
		return nil, err
	}
	if c.ReadyFile != "" {
		s.unready, err = readyFile{URL: urlOf(s.listeners), PID: os.Getpid(), TokenFile: c.TokenFile}.write(c.ReadyFile)
		if err != nil {
			s.unready = func() {}
			return nil, err
		}
	}
	for _, l := range s.listeners {
		log.Info().Str("address", l.Addr().String()).Str("auth", c.Auth).Str("containment", string(s.host.Containment())).Msg("listening")
	}
	return s, nil
}

// close undoes the start, also one that was not completed. An error says that something is left behind.
func (s *started) close() error {
	s.unready()
	closeAll(s.listeners)
	if s.host == nil {
		return nil
	}
	return closeHost(s.host, s.log)
}
