// Package mcp offers a Runnel server to a host of the Model Context Protocol as a few tools: they run
// commands, read their output, write to their stdin, and end them. docs/mcp.md describes the tools.
//
// The tools use requests of the Runnel protocol only (package rpc), through a Caller. So everything
// that the server enforces, such as roles, policies, limits and sandboxes, applies to them.
package mcp
