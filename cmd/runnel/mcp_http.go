package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/mcp"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// mcpFlags are for /mcp.
type mcpFlags struct {
	MCP      bool          `name:"mcp" help:"Serve hosts of the Model Context Protocol at /mcp." env:"RUNNEL_MCP"`
	MCPIdle  time.Duration `name:"mcp-idle" help:"How long a session that a host has started at /mcp, without a name, continues after its last use." default:"30m" env:"RUNNEL_MCP_IDLE"`
	MCPTools []string      `name:"mcp-tools" help:"Tools to offer at /mcp, separated by commas. Default: all that the role permits." placeholder:"NAME,…" env:"RUNNEL_MCP_TOOLS"`
	MCPURL   string        `name:"mcp-url" help:"URL of /mcp for hosts, in its metadata for OAuth. Default: by the Host of a request." placeholder:"URL" env:"RUNNEL_MCP_URL"`
}

func (f *mcpFlags) check() error {
	if f.MCPIdle <= 0 {
		return errors.New("--mcp-idle must be greater than 0")
	}
	if !f.MCP && (f.MCPTools != nil || f.MCPURL != "") {
		return errors.New("--mcp-tools and --mcp-url require --mcp")
	}
	if err := mcp.CheckTools(f.MCPTools); err != nil {
		return fmt.Errorf("--mcp-tools: %w", err)
	}
	if f.MCPURL != "" {
		if _, err := mcp.ParseURL(f.MCPURL); err != nil {
			return fmt.Errorf("--mcp-url: %w", err)
		}
	}
	return nil
}

// addTo adds the routes, with --mcp. The metadata is for hosts that get their tokens from the issuer of the
// JWTs, if that is named by a URL.
func (f *mcpFlags) addTo(o *server.Options, j *jwtFlags, log zerolog.Logger) error {
	if !f.MCP {
		return nil
	}
	faults := slog.New(zerolog.NewSlogHandler(log.Level(zerolog.WarnLevel)))
	h, err := mcp.NewHandler(mcp.HandlerOptions{Version: version(), Tools: f.MCPTools, Idle: f.MCPIdle, Log: faults})
	if err != nil {
		return err
	}
	o.Routes[mcp.Pattern] = h
	if !strings.HasPrefix(j.JWTIssuer, "https://") && !strings.HasPrefix(j.JWTIssuer, "http://") {
		return nil
	}
	m := &mcp.Metadata{Issuer: j.JWTIssuer, TLS: o.TLS != nil}
	if f.MCPURL != "" {
		if m.URL, err = mcp.ParseURL(f.MCPURL); err != nil {
			return err
		}
	}
	o.Public, o.Challenge = make(map[string]http.Handler), m.Challenge
	for _, pattern := range m.Patterns() {
		o.Public[pattern] = m
	}
	return nil
}
