package main

import (
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/codex"
)

// codexFlags are for GET /codex.
type codexFlags struct {
	NoCodex           bool          `help:"Do not serve the exec-server protocol of Codex at /codex." env:"RUNNEL_NO_CODEX"`
	CodexHTTP         bool          `name:"codex-http" help:"Let Codex clients that may run any command make HTTP requests by the server." env:"RUNNEL_CODEX_HTTP"`
	CodexResume       time.Duration `help:"How long a session of a Codex client may be resumed after its connection was lost, before its processes end." default:"30s" env:"RUNNEL_CODEX_RESUME"`
	MaxCodexSessions  int           `help:"Maximum number of sessions of Codex clients of a principal." default:"64" env:"RUNNEL_MAX_CODEX_SESSIONS"`
	MaxCodexProcesses int           `help:"Maximum number of processes of a session of a Codex client." default:"256" env:"RUNNEL_MAX_CODEX_PROCESSES"`
}

func (c *codexFlags) check() error {
	if c.CodexResume <= 0 || c.MaxCodexSessions <= 0 || c.MaxCodexProcesses <= 0 {
		return errors.New("--codex-resume, --max-codex-sessions and --max-codex-processes must be greater than 0")
	}
	if c.CodexHTTP && c.NoCodex {
		return errors.New("--no-codex excludes --codex-http")
	}
	return nil
}

// handler returns the route, or nil with --no-codex.
func (c *codexFlags) handler(log zerolog.Logger) *codex.Handler {
	if c.NoCodex {
		return nil
	}
	return codex.New(codex.Options{
		Resume: c.CodexResume, MaxSessions: c.MaxCodexSessions, MaxProcesses: c.MaxCodexProcesses,
		HTTP: c.CodexHTTP, Log: log,
	})
}
