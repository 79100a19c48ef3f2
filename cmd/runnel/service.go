package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// service is a server with its sessions.
type service struct {
	drain    time.Duration
	registry *session.Registry
	host     *process.Host
	server   *server.Server
	log      zerolog.Logger
}

// newService returns a server whose sessions host holds. Who opened the host closes it, after the service has shut down.
func newService(b *bounds, auth server.Auth, host *process.Host, log zerolog.Logger) *service {
	registry := session.NewRegistry(session.Options{
		MaxSessions:  b.MaxSessions,
		MaxRetained:  b.MaxRetained,
		Retain:       b.Retain,
		ReplayBytes:  b.ReplayBytes,
		ReplayTotal:  b.ReplayTotal,
		Log:          log,
		Host:         host,
		StartTimeout: b.StartTimeout,
	})
	return &service{drain: b.Drain, registry: registry, host: host, log: log, server: server.New(server.Local{Registry: registry}, server.Options{
		Version: version(),
		Auth:    auth,
		Defaults: server.Defaults{
			Shell:         b.Shell,
			Timeout:       b.Timeout,
			StreamTimeout: b.StreamTimeout,
			Grace:         b.Grace,
			Linger:        b.Linger,
			ReplayBytes:   b.ReplayBytes,
			Environ:       environ(),
			Limits:        process.Limits(b.Limit),
			MaxLimits:     process.Limits(b.MaxLimit),
		},
		MaxConnections:     b.MaxConnections,
		MaxUnauthenticated: mostUnauthenticated(b.MaxUnauthenticated),
		RequestTimeout:     requestTimeout,
		MaxInFlight:        b.MaxInFlight,
		MaxMessageBytes:    b.MaxMessageBytes,
		PingInterval:       b.PingInterval,
		WriteTimeout:       b.WriteTimeout,
		Drain:              b.Drain,
		Bounds: rpc.Bounds{
			MaxSessions:         b.MaxSessions,
			MaxRetained:         b.MaxRetained,
			Retain:              b.Retain.Seconds(),
			ReplayTotal:         b.ReplayTotal,
			DefaultMaxLineBytes: stream.DefaultMaxLine,
			MinNice:             process.MinNice(),
		},
		Capabilities: capabilities(host),
		Log:          log,
	})}
}

// requestTimeout bounds an HTTP request, its answer, and the wait for the next one.
const requestTimeout = 10 * time.Second

// mostUnauthenticated leaves descriptors for those who are authenticated, and for what they run.
func mostUnauthenticated(asked int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur/4 > uint64(asked) {
		return asked
	}
	return int(max(files.Cur/4, 1))
}

// capabilities are what clients are told of the machine.
func capabilities(h *process.Host) []string {
	all := append([]string{"containment:" + string(h.Containment())}, process.Settable...)
	for _, name := range process.AllLimits {
		if _, err := h.Enforce(process.Limits{name: 1}); err == nil {
			all = append(all, "limits:"+string(name))
		}
	}
	return all
}

// environ is what commands inherit: all but what configures Runnel itself.
func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "RUNNEL_") {
			env = append(env, e)
		}
	}
	return env
}

// serve serves until ctx is done and then shuts down; stop gives the signals that end ctx back.
func (s *service) serve(ctx context.Context, stop func(), listeners []net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error { return s.server.Serve(l) })
	}
	group.Go(func() error {
		<-ctx.Done()
		again, release := signal.NotifyContext(context.Background(), endSignals()...)
		defer release()
		stop()
		s.shutdown(again)
		return nil
	})
	return group.Wait()
}

// shutdown takes no more work, gives what runs the drain, and ends it. Once again is done, everything is
// killed and nobody is waited for.
func (s *service) shutdown(again context.Context) {
	defer context.AfterFunc(again, s.registry.Kill)()
	ctx, cancel := context.WithTimeout(again, s.drain)
	defer cancel()
	s.log.Info().Int("sessions", s.registry.Running()).Stringer("drain", s.drain).Msg("shutting down")
	s.registry.Drain()
	s.server.Announce()
	s.registry.Shutdown(ctx)
	said := make(chan struct{})
	go func() {
		defer close(said)
		s.server.Shutdown()
	}()
	select {
	case <-said:
	case <-again.Done():
	}
	s.log.Info().Msg("shut down")
}
