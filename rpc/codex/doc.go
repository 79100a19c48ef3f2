// Package codex serves the exec-server protocol of Codex on the sessions of a Runnel server: JSON-RPC
// over WebSocket, without the member jsonrpc.
//
// A [Handler] is a route of a [server.Server]. A client session (see initialize) has processes, each of
// which is a session of package session. It outlives its connection by Options.Resume, in which a client
// may resume it on another connection.
//
// docs/codex.md describes what is served, the bounds, and the differences to Codex's own server.
package codex
