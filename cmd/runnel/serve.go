package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc/auth"
)

type serveCmd struct {
	Listen      []string `help:"Address to listen on; may be repeated; port 0 chooses a free port; empty for none." default:"127.0.0.1:8003" placeholder:"HOST:PORT" env:"RUNNEL_LISTEN"`
	Socket      string   `help:"Unix socket for processes of this user; empty for none." default:"${socket}" env:"RUNNEL_SOCKET"`
	ReadyFile   string   `help:"File to write when the server listens: url, pid and token_file as JSON." env:"RUNNEL_READY_FILE"`
	Auth        string   `help:"Authentication over TCP: token, or none (loopback only)." enum:"token,none" default:"token" env:"RUNNEL_AUTH"`
	TokenFile   string   `help:"File with the token; created if it does not exist. Default: token in the directory of the socket." env:"RUNNEL_TOKEN_FILE"`
	AllowHost   []string `help:"Host header to accept besides loopback." env:"RUNNEL_ALLOW_HOST"`
	AllowOrigin []string `help:"Origin header of browsers to accept." env:"RUNNEL_ALLOW_ORIGIN"`
	LogLevel    string   `help:"trace, debug, info, warn or error." enum:"trace,debug,info,warn,error" default:"info" env:"RUNNEL_LOG_LEVEL"`
	LogFormat   string   `help:"console, json, or auto." enum:"auto,console,json" default:"auto" env:"RUNNEL_LOG_FORMAT"`
	tlsFlags    `embed:""`
	bounds      `embed:""`
}

// Run serves until the first signal, and then drains. A second signal kills all sessions.
func (c *serveCmd) Run(inv *invocation) error {
	signal.Notify(make(chan os.Signal, 1), stopSignals()...) // a third signal must not interrupt the cleanup
	ctx, stop := signal.NotifyContext(inv.ctx, stopSignals()...)
	defer stop()
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
	err = newService(&c.bounds, s.auth, s.certificates, s.host, log).serve(ctx, stop, s.listeners)
	return errors.Join(err, s.close())
}

// stopSignals are the signals that end a server.
var stopSignals = sync.OnceValue(func() []os.Signal { return notIgnored(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) })

// auth returns the authentication of the server. It sets TokenFile to the absolute path of the
// token, or to "" with --auth none.
func (c *serveCmd) auth(ctx context.Context) (*auth.Chain, error) {
	chain := auth.Loopback()
	chain.Hosts, chain.Origins = c.AllowHost, c.AllowOrigin
	if c.Auth == "none" {
		c.TokenFile = ""
		return chain, nil
	}
	if c.TokenFile == "" {
		c.TokenFile = tokenPath(c.Socket)
	}
	if c.TokenFile == "" {
		return nil, &statusError{exitUsage, errors.New("no home directory for the token: --token-file is required")}
	}
	var err error
	if c.TokenFile, err = filepath.Abs(c.TokenFile); err != nil {
		return nil, err
	}
	token, err := ensureToken(ctx, c.TokenFile)
	if err != nil {
		return nil, err
	}
	chain.Open = false
	chain.Sources = append(chain.Sources, auth.NewTokens(auth.UserToken(token)))
	return chain, nil
}

// listen opens all listeners, or none.
func (c *serveCmd) listen(ctx context.Context) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	for _, address := range c.Listen {
		l, err := listenTCP(address, c.Auth != "none")
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	if c.Socket != "" {
		l, err := listenUnix(ctx, c.Socket)
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
