package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/rpc/codex"
	"github.com/runnel-rpc/runnel/rpc/server"
)

type serveCmd struct {
	Listen            []string `help:"Address to listen on; may be repeated; port 0 chooses a free port; empty for none. unix:PATH is a socket for proxies, which requires a credential." default:"127.0.0.1:8003" placeholder:"HOST:PORT|unix:PATH" env:"RUNNEL_LISTEN"`
	Socket            string   `help:"Unix socket for processes of this user; empty for none." default:"${socket}" env:"RUNNEL_SOCKET"`
	ReadyFile         string   `help:"File to write when the server listens: url, pid and token_file as JSON." env:"RUNNEL_READY_FILE"`
	LogLevel          string   `help:"trace, debug, info, warn or error." enum:"trace,debug,info,warn,error" default:"info" env:"RUNNEL_LOG_LEVEL"`
	LogFormat         string   `help:"console, json, or auto." enum:"auto,console,json" default:"auto" env:"RUNNEL_LOG_FORMAT"`
	jwtFlags          `embed:""`
	tlsFlags          `embed:""`
	accessFlags       `embed:""`
	auditFlags        `embed:""`
	serveSandboxFlags `embed:""`
	spoolFlags        `embed:""`
	codexFlags        `embed:""`
	mcpFlags          `embed:""`
	bounds            `embed:""`
}

// Validate implements kong's check of values.
func (c *serveCmd) Validate() error {
	if c.Auth == "none" && c.hasCredentials() {
		return errors.New("--auth none accepts every caller: it cannot be used together with credentials such as --tokens")
	}
	if err := c.jwtFlags.check(c.Principals); err != nil {
		return err
	}
	if err := c.spoolFlags.check(); err != nil {
		return err
	}
	if err := c.codexFlags.check(); err != nil {
		return err
	}
	if err := c.mcpFlags.check(); err != nil {
		return err
	}
	for _, origin := range c.AllowOrigin {
		if err := auth.CheckOrigin(origin); err != nil {
			return fmt.Errorf("--allow-origin: %w", err)
		}
	}
	return c.bounds.Validate()
}

// Run serves until the first signal, and then drains. A second signal kills all sessions.
func (c *serveCmd) Run(inv *invocation) error {
	signal.Notify(make(chan os.Signal, 1), stopSignals()...) // a third signal must not interrupt the cleanup
	ctx, stop := untilStopped(inv.ctx)
	defer stop()
	hangup := notifyHangup()
	defer limitGarbage()()
	resetIgnored()
	setCloseOnExec()
	startThreads()
	log, flush := newLog(inv.stderr, c.LogLevel, c.LogFormat)
	defer flush()
	s, err := c.startOrCancel(ctx, log)
	if s == nil {
		return err
	}
	options, agents := c.serverOptions(s), c.codexFlags.handler(log)
	options.Routes = make(map[string]http.Handler)
	if agents != nil {
		options.Routes[codex.Pattern] = agents
	}
	if err := c.mcpFlags.addTo(&options, &c.jwtFlags, log); err != nil {
		return errors.Join(err, s.close())
	}
	service := newService(&c.bounds, options, s.host, s.spool, log)
	service.codex = agents
	if c.limitsSessions() {
		s.auth.chain.Session = service.sessionOf
	}
	setQuotas := func() error {
		quotas := c.quotas(s.auth.tokens, s.auth.principals.Load())
		c.warnOfShares(&quotas, log)
		return service.server.SetQuotas(quotas)
	}
	if err := setQuotas(); err != nil {
		return errors.Join(err, s.close())
	}
	s.reload.done = func() {
		_ = setQuotas() // authentication.check has found no error
		service.server.Reauthenticate()
	}
	reauthenticate := service.server.Reauthenticate
	s.auth.keysChanged.Store(&reauthenticate)
	stopReloading := s.reload.start(hangup)
	err = service.serve(ctx, stop, s.listeners)
	stopReloading()
	s.audit.Write(&audit.Stop{})
	return errors.Join(err, s.close())
}

// serverOptions returns the options of the server, apart from its bounds.
func (c *serveCmd) serverOptions(s *startedServer) server.Options {
	o := server.Options{
		Auth:       s.auth.chain,
		Proxies:    s.auth.proxies,
		EndRevoked: c.OnRevoke == "end",
		SameGroup:  func(a, b string) bool { return s.auth.principals.Load().SameGroup(a, b) },
		TLS:        s.certificates.configuration(),
		Audit:      s.audit,
		Sandboxes:  s.sandboxes.options(),
	}
	if s.policy != nil {
		o.Authorize, o.Restrict = s.policy.Authorize, logged(s.policy, s.log)
	}
	return o
}

// listen opens all listeners, or none.
func (c *serveCmd) listen(ctx context.Context) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	for _, address := range c.Listen {
		var l net.Listener
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			l, err = c.listenProxies(ctx, path)
		} else {
			l, err = c.listenTCP(address)
		}
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	if c.Socket != "" {
		l, err := listenUnix(ctx, c.Socket, c.socketMode())
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, &statusError{exitUsage, errors.New("nothing to listen on: --listen or --socket is required")}
	}
	return all, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
