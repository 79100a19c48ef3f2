package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/mcp"
)

type mcpCmd struct {
	target
	Sandbox *string  `help:"Sandbox of every command: off, read-only, workspace, or another profile of the server. Default: what the server requires." placeholder:"PROFILE"`
	Cwd     string   `help:"Working directory of commands. Default: the current one; with --url, that of the server." placeholder:"DIR"`
	Tools   []string `help:"Tools to offer, separated by commas. Default: all that the role permits." placeholder:"NAME,…"`
}

// Validate implements kong's check of values.
func (c *mcpCmd) Validate() error {
	if err := mcp.CheckTools(c.Tools); err != nil {
		return fmt.Errorf("--tools: %w", err)
	}
	if c.Sandbox != nil && *c.Sandbox == "" {
		return errors.New("--sandbox must not be empty") // an unset variable must not mean no sandbox
	}
	return c.target.Validate()
}

// Run serves a host on stdin and stdout, until stdin ends or a signal stops it.
func (c *mcpCmd) Run(inv *invocation) error {
	log, flush := newLog(inv.stderr, "warn", "auto")
	defer flush()
	ctx, stop := untilStopped(inv.ctx)
	defer stop()
	conn, err := c.connectOrServe(ctx, client.Options{Reconnect: c.reconnectAlways(inv)}, mcpBounds(), log)
	if err != nil {
		return err
	}
	defer conn.close()
	execute, err := c.executeParams(inv, conn)
	if err != nil {
		return err
	}
	faults := slog.New(slog.NewTextHandler(inv.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := mcp.New(conn, mcp.Options{
		Version:    version(),
		Tools:      c.Tools,
		Execute:    execute,
		InProcess:  conn.server != nil,
		Log:        faults,
		HostFaults: faults,
	})
	if err != nil {
		return err
	}
	return s.Serve(ctx, inv.stdin, inv.stdout)
}

// executeParams returns what all commands have: the sandbox, and on the user's own server the working
// directory, the environment and the attributes of this process, in which the host has started it. They
// are not sent to a server at a URL, on which they may mean nothing, and which may not be trusted with them.
func (c *mcpCmd) executeParams(inv *invocation, conn *runClient) (p rpc.ExecuteParams, err error) {
	if c.Sandbox != nil {
		p.Sandbox = &rpc.Sandbox{Profile: *c.Sandbox}
	}
	switch {
	case c.URL == "":
		dir, err := c.directory()
		if err != nil {
			return p, err
		}
		p.Cwd = rpc.Bytes(dir)
	case c.Cwd != "" && !filepath.IsAbs(c.Cwd):
		return p, &statusError{exitUsage, errors.New("--cwd must be an absolute path of the server, with --url")}
	case c.Cwd == "" && c.Sandbox != nil:
		return p, &statusError{exitUsage, errors.New("--sandbox with --url requires --cwd, for which the sandbox is made")}
	default:
		p.Cwd = rpc.Bytes(c.Cwd)
	}
	if c.URL == "" && conn.server == nil {
		p.Env = rpc.Env{}
		passEnviron(inv, p.Env)
		ownAttributes().addTo(&p, conn.Connected())
	}
	return p, checkText(&p, hasCapability(conn.Connected(), "base64"))
}

// directory returns the working directory on this machine, as an absolute path. For a sandbox symbolic
// links are resolved, once: it must not become the sandbox of another directory when a link is changed.
func (c *mcpCmd) directory() (string, error) {
	dir, err := filepath.Abs(c.Cwd)
	if err != nil || c.Sandbox == nil {
		return dir, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", &statusError{exitUsage, fmt.Errorf("--cwd: %w", err)}
	}
	return dir, nil
}

// reconnectAlways dials again for as long as the host is there: a server may be restarted meanwhile.
func (c *mcpCmd) reconnectAlways(inv *invocation) *client.Reconnect {
	r := c.reconnect(inv.say)
	r.Timeout = unlimited
	return r
}

// mcpBounds are the bounds of the server in a `runnel mcp`: those of `run`, with as many sessions as a
// server has by default, and ended ones kept as long as a model may ask for them.
func mcpBounds() bounds {
	b := inProcessBounds
	b.MaxSessions, b.MaxRetained, b.Retain = 100, 1000, 30*time.Minute
	b.ReplayTotal = 256 << 20
	return b
}
