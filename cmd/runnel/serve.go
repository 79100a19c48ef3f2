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

	"github.com/runnel-rpc/runnel/rpc/server"
)

type serveCmd struct {
	Listen      []string `help:"Address to listen on; may be given more than once, port 0 allowed; empty for none." default:"127.0.0.1:8003" placeholder:"HOST:PORT" env:"RUNNEL_LISTEN"`
	Socket      string   `help:"Unix socket for this user's own processes; empty for none." default:"${socket}" env:"RUNNEL_SOCKET"`
	ReadyFile   string   `help:"File to write once listening: url, pid and token_file as JSON." env:"RUNNEL_READY_FILE"`
	Auth        string   `help:"Who may call over TCP: token, or none (loopback only)." enum:"token,none" default:"token" env:"RUNNEL_AUTH"`
	TokenFile   string   `help:"The token; made where it is missing. Default: token beside the socket." env:"RUNNEL_TOKEN_FILE"`
	AllowHost   []string `help:"Host to let in besides loopback." env:"RUNNEL_ALLOW_HOST"`
	AllowOrigin []string `help:"Browser origin to let in." env:"RUNNEL_ALLOW_ORIGIN"`
	LogLevel    string   `help:"trace, debug, info, warn or error." enum:"trace,debug,info,warn,error" default:"info" env:"RUNNEL_LOG_LEVEL"`
	LogFormat   string   `help:"console, json, or auto." enum:"auto,console,json" default:"auto" env:"RUNNEL_LOG_FORMAT"`
	bounds      `embed:""`
}

// Run serves until the first signal, and then drains; a second signal ends at once.
func (c *serveCmd) Run(w *world) error {
	signal.Notify(make(chan os.Signal, 1), endSignals()...) // one more signal does not interrupt what follows the shutdown
	ctx, stop := signal.NotifyContext(w.ctx, endSignals()...)
	defer stop()
	defer boundGarbage()()
	ignoredToDefault()
	keepInherited()
	keepThreads()
	log, flush := newLog(w.stderr, c.LogLevel, c.LogFormat)
	defer flush()
	s, err := c.startUnlessEnded(ctx, log)
	if s == nil {
		return err
	}
	err = newService(&c.bounds, s.auth, s.host, log).serve(ctx, stop, s.listeners)
	return errors.Join(err, s.close())
}

// endSignals are those that end a server.
var endSignals = sync.OnceValue(func() []os.Signal { return unlessIgnored(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) })

// auth says who may call, and makes TokenFile the absolute path of the token, or "" where none is asked for.
func (c *serveCmd) auth(ctx context.Context) (server.Auth, error) {
	a := server.Auth{AllowHosts: c.AllowHost, AllowOrigins: c.AllowOrigin}
	if c.Auth == "none" {
		c.TokenFile = ""
		return a, nil
	}
	if c.TokenFile == "" {
		c.TokenFile = besideSocket(c.Socket)
	}
	if c.TokenFile == "" {
		return a, &statusError{exitUsage, errors.New("there is no home directory for the token: give --token-file")}
	}
	var err error
	if c.TokenFile, err = filepath.Abs(c.TokenFile); err == nil {
		a.Token, err = ensureToken(ctx, c.TokenFile)
	}
	return a, err
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
		return nil, &statusError{exitUsage, errors.New("there is nothing to listen on: give --listen or --socket")}
	}
	return all, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
