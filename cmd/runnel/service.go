package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc/codex"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
)

// service is a server with its sessions.
type service struct {
	drain    time.Duration
	registry *session.Registry
	host     *process.Host
	server   *server.Server
	codex    *codex.Handler // nil without the route
	log      zerolog.Logger
}

// newService returns a server whose sessions run on host and are kept in a spool, which may be nil, with
// options to which it adds the bounds. The caller closes both after the service has shut down.
func newService(b *bounds, o server.Options, host *process.Host, sp *spool.Spool, log zerolog.Logger) *service {
	onRunning, onEnded, onDestination := server.AuditSessions(o.Audit)
	registry := session.NewRegistry(session.Options{
		MaxSessions: b.MaxSessions,
		MaxProxied:  proxiedLimit(b.MaxProxied),
		MaxQueued:   noneIfZero(b.MaxQueued),
		MaxRetained: noneIfZero(b.MaxRetained),
		Retain:      noneIfZero(b.Retain),
		ReplayBytes: b.ReplayBytes,
		ReplayTotal: b.ReplayTotal,
		Log:         log,
		OnRunning:   onRunning,
		OnEnded:     onEnded,

		OnDestination: onDestination,

		Host:         host,
		Spool:        sp,
		Commands:     server.CommandCodec,
		StartTimeout: noneIfZero(b.StartTimeout),

		StartsPerSecond: b.MaxStartsPerSecond,
	})
	o.Version = version()
	o.Defaults = server.Defaults{
		Shell:         b.Shell,
		Timeout:       b.Timeout,
		StreamTimeout: b.StreamTimeout,
		Grace:         b.Grace,
		Linger:        b.Linger,
		Environ:       environ(),
		Limits:        process.Limits(b.Limit),
		MaxLimits:     process.Limits(b.MaxLimit),
	}
	o.MaxConnections = b.MaxConnections
	o.MaxUnauthenticated = partOfFiles(b.MaxUnauthenticated, 4)
	o.RequestTimeout = requestTimeout
	o.MaxInFlight = b.MaxInFlight
	o.MaxMessageBytes = b.MaxMessageBytes
	o.PingInterval = b.PingInterval
	o.WriteTimeout = b.WriteTimeout
	o.Drain = b.Drain
	o.Capabilities = capabilities(host)
	o.Log = log
	return &service{drain: b.Drain, registry: registry, host: host, log: log, server: server.New(registry, o)}
}

// noneIfZero converts a flag, of which 0 means none, to an option, of which 0 means the default.
func noneIfZero[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// requestTimeout bounds reading an HTTP request, writing its response, and the wait for the next
// request.
const requestTimeout = 10 * time.Second

// partOfFiles returns how many unauthenticated connections, or connections of commands to their
// proxies, to allow: at most a part of the descriptors, so that the others are left for authenticated
// connections and for sessions.
func partOfFiles(requested int, divisor uint64) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur/divisor > uint64(requested) {
		return requested
	}
	return int(max(files.Cur/divisor, 1))
}

// proxiedLimit returns how many connections commands may have to their proxies. Each has two
// descriptors.
func proxiedLimit(requested int) int { return partOfFiles(requested, 8) }

// capabilities returns the capabilities that depend on the machine.
func capabilities(h *process.Host) []string {
	all := append([]string{"containment:" + string(h.Containment())}, process.SettableAttributes...)
	for _, name := range process.AllLimits {
		if _, err := h.Enforce(process.Limits{name: 1}); err == nil {
			all = append(all, "limits:"+string(name))
		}
	}
	return all
}

// environ returns the environment that commands inherit: that of this process without the variables
// that configure Runnel.
func environ() []string {
	env := []string{} // nil would be the environment of the server
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "RUNNEL_") {
			env = append(env, e)
		}
	}
	return env
}

// serve serves until ctx is done, and then shuts down. If the cause is errRestart, clients are told
// that the server will be started again. stop ends the notification of ctx about signals.
func (s *service) serve(ctx context.Context, stop func(), listeners []net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error { return s.server.Serve(l) })
	}
	group.Go(func() error {
		<-ctx.Done()
		again, release := signal.NotifyContext(context.Background(), stopSignals()...)
		defer release()
		stop()
		s.shutdown(again, errors.Is(context.Cause(ctx), errRestart))
		return nil
	})
	return group.Wait()
}

// shutdown refuses new sessions, waits for the running ones until the drain is over, and ends them.
// When again is done, it kills all sessions and does not wait for connections. Clients are told
// whether the server restarts.
func (s *service) shutdown(again context.Context, restart bool) {
	defer context.AfterFunc(again, s.registry.Kill)()
	ctx, cancel := context.WithTimeout(again, s.drain)
	defer cancel()
	s.log.Info().Int("sessions", s.registry.Running()).Stringer("drain", s.drain).Bool("restart", restart).Msg("shutting down")
	s.registry.Drain()
	s.server.Announce(restart)
	s.registry.Shutdown(ctx)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.server.Shutdown()
		if s.codex != nil {
			s.codex.Close()
		}
	}()
	select {
	case <-closed:
	case <-again.Done():
	}
	s.log.Info().Msg("shut down")
}

// killSessions ends all sessions without a grace, and waits for them.
func (s *service) killSessions() {
	s.registry.Kill()
	s.registry.Shutdown(context.Background())
}
