// Package server serves the Runnel protocol over WebSocket, for the sessions of a
// session.Registry.
//
//	sessions := session.NewRegistry(session.Options{})
//	s := server.New(sessions, server.Options{Auth: chain})
//	go s.Serve(listener)
//	…
//	s.Announce(false)
//	sessions.Shutdown(ctx)
//	s.Shutdown()
//
// [Options] has functions to authenticate callers, authorize requests, route them to other servers,
// and serve other HTTP paths.
//
// # Concurrency
//
// A request and its reply (conn.serve has a drawing with the goroutines):
//
//	frame → messageReader → conn.handleMessage → request.run → handler → reply → control queue → outbox
//
// Output:
//
//	log → cursor → subscription → outbox → frame
//
// A connection has two goroutines: one reads requests and calls their handlers, the other one, the
// outbox, writes. A request that waits has a goroutine of its own. What changes in a connection is
// in one struct, state, which is changed by its update method only.
//
// # Compatibility
//
// The protocol keeps its version (rpc.Version). As long as the major version of the module is 0, a
// minor version may change this API; docs/changelog.md lists each such change. Use field names in
// struct literals.
package server
