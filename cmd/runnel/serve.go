package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// bounds are the flags that bound what a server does, and the defaults of execute. `run` takes their defaults
// when it serves itself.
type bounds struct {
	MaxSessions     int           `help:"Sessions that run at once." default:"100" env:"RUNNEL_MAX_SESSIONS"`
	MaxConnections  int           `help:"Connections at once." default:"100" env:"RUNNEL_MAX_CONNECTIONS"`
	MaxInFlight     int           `help:"Requests in flight on one connection." default:"1024" env:"RUNNEL_MAX_IN_FLIGHT"`
	MaxRetained     int           `help:"Ended sessions whose record and log are kept." default:"1000" env:"RUNNEL_MAX_RETAINED"`
	Retain          time.Duration `help:"How long they are kept." default:"5m" env:"RUNNEL_RETAIN"`
	ReplayBytes     int64         `help:"Newest output that each session keeps." default:"1MiB" type:"size" env:"RUNNEL_REPLAY_BYTES"`
	MaxMessageBytes int64         `help:"Largest message taken." default:"1MiB" type:"size" env:"RUNNEL_MAX_MESSAGE_BYTES"`
	StreamTimeout   time.Duration `help:"Default of stream_timeout; 0 for none." default:"5m" env:"RUNNEL_STREAM_TIMEOUT"`
	Timeout         time.Duration `help:"Default of timeout; 0 for none." default:"0s" env:"RUNNEL_TIMEOUT"`
	Grace           time.Duration `help:"Default of grace." default:"2s" env:"RUNNEL_GRACE"`
	PingInterval    time.Duration `help:"Time between pings; a peer silent for three is cut off." default:"20s" env:"RUNNEL_PING_INTERVAL"`
	WriteTimeout    time.Duration `help:"Longest time in which a peer takes no byte." default:"30s" env:"RUNNEL_WRITE_TIMEOUT"`
	Shell           string        `help:"What runs a string command, with -c." default:"/bin/sh" env:"RUNNEL_SHELL"`
	Drain           time.Duration `help:"What sessions have at shutdown before they are ended." default:"5s" env:"RUNNEL_DRAIN"`
}

type serveCmd struct {
	Listen      []string `help:"Address to listen on; may be given more than once, port 0 allowed." default:"127.0.0.1:8003" placeholder:"HOST:PORT" env:"RUNNEL_LISTEN"`
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

// Validate implements kong's check of values.
func (b *bounds) Validate() error {
	for name, v := range map[string]int64{
		"max-sessions": int64(b.MaxSessions), "max-connections": int64(b.MaxConnections), "max-in-flight": int64(b.MaxInFlight),
		"replay-bytes": b.ReplayBytes, "max-message-bytes": b.MaxMessageBytes,
		"ping-interval": int64(b.PingInterval), "write-timeout": int64(b.WriteTimeout),
	} {
		if v <= 0 {
			return fmt.Errorf("--%s must be more than 0", name)
		}
	}
	for name, v := range map[string]time.Duration{
		"retain": b.Retain, "stream-timeout": b.StreamTimeout, "timeout": b.Timeout, "grace": b.Grace, "drain": b.Drain,
		"max-retained": time.Duration(b.MaxRetained),
	} {
		if v < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
	}
	return nil
}

// Run serves until the first signal, and then drains; a second signal ends at once.
func (c *serveCmd) Run(w *world) error {
	ctx, stop := signal.NotifyContext(w.ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := newLog(w.stderr, c.LogLevel, c.LogFormat)
	token, err := c.token()
	if err != nil {
		return err
	}
	if c.ReadyFile != "" {
		_ = os.Remove(c.ReadyFile)
	}
	listeners, err := c.listen()
	if err != nil {
		return err
	}
	s := newService(&c.bounds, server.Auth{Token: token, AllowHosts: c.AllowHost, AllowOrigins: c.AllowOrigin}, log)
	if err := c.ready(listeners); err != nil {
		closeAll(listeners)
		return err
	}
	defer c.notReady()
	for _, l := range listeners {
		log.Info().Str("address", l.Addr().String()).Str("containment", "group").Str("auth", c.Auth).Msg("listening")
	}
	return s.serve(ctx, stop, listeners)
}

// token is the one to ask of callers over TCP; "" under --auth none.
func (c *serveCmd) token() (string, error) {
	if c.Auth == "none" {
		return "", nil
	}
	if c.TokenFile == "" {
		c.TokenFile = defaultToken(c.Socket)
	}
	return ensureToken(c.TokenFile)
}

// listen opens all listeners, or none.
func (c *serveCmd) listen() (all []net.Listener, err error) {
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
		l, err := listenUnix(c.Socket)
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	return all, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// ready writes the ready file.
func (c *serveCmd) ready(listeners []net.Listener) error {
	if c.ReadyFile == "" {
		return nil
	}
	said := struct {
		URL       string `json:"url"`
		PID       int    `json:"pid"`
		TokenFile string `json:"token_file,omitempty"`
	}{PID: os.Getpid()}
	if c.Auth != "none" {
		said.TokenFile, _ = filepath.Abs(c.TokenFile)
	}
	for _, l := range listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok && said.URL == "" {
			said.URL = "ws://" + a.String() + "/ws"
		}
	}
	text, err := json.Marshal(said)
	if err == nil {
		err = writeWhole(c.ReadyFile, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	return nil
}

func (c *serveCmd) notReady() {
	if c.ReadyFile != "" {
		_ = os.Remove(c.ReadyFile)
	}
}

// service is a server with its sessions.
type service struct {
	drain    time.Duration
	registry *session.Registry
	server   *server.Server
	log      zerolog.Logger
}

func newService(b *bounds, auth server.Auth, log zerolog.Logger) *service {
	registry := session.NewRegistry(session.Options{
		MaxSessions: b.MaxSessions,
		MaxRetained: b.MaxRetained,
		Retain:      b.Retain,
		ReplayBytes: b.ReplayBytes,
		Log:         log,
	})
	return &service{drain: b.Drain, registry: registry, log: log, server: server.New(server.Local{Registry: registry}, server.Options{
		Version: version(),
		Auth:    auth,
		Defaults: server.Defaults{
			Shell:         b.Shell,
			Timeout:       b.Timeout,
			StreamTimeout: b.StreamTimeout,
			Grace:         b.Grace,
			ReplayBytes:   b.ReplayBytes,
			Environ:       environ(),
		},
		MaxConnections:  b.MaxConnections,
		MaxInFlight:     b.MaxInFlight,
		MaxMessageBytes: b.MaxMessageBytes,
		PingInterval:    b.PingInterval,
		WriteTimeout:    b.WriteTimeout,
		Drain:           b.Drain,
		Bounds: rpc.Bounds{
			MaxSessions:         b.MaxSessions,
			MaxRetained:         b.MaxRetained,
			Retain:              b.Retain.Seconds(),
			DefaultMaxLineBytes: stream.DefaultMaxLine,
		},
		Log: log,
	})}
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

// serve serves until ctx is done and then shuts down; stop makes the next signal end the program at once.
func (s *service) serve(ctx context.Context, stop func(), listeners []net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error { return s.server.Serve(l) })
	}
	group.Go(func() error {
		<-ctx.Done()
		again, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer cancel()
		stop()
		s.shutdown(again)
		return nil
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// shutdown takes no more work, gives what runs the drain, which ctx cuts short, and ends it.
func (s *service) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.drain)
	defer cancel()
	s.log.Info().Int("sessions", s.registry.Running()).Stringer("drain", s.drain).Msg("shutting down")
	s.registry.Drain()
	s.server.Announce()
	s.registry.Shutdown(ctx)
	s.server.Shutdown()
	s.log.Info().Msg("shut down")
}

func newLog(w io.Writer, level, format string) zerolog.Logger {
	if f, ok := w.(*os.File); format == "auto" && ok && isatty.IsTerminal(f.Fd()) || format == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.DateTime}
	}
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	return zerolog.New(w).Level(l).With().Timestamp().Logger()
}
