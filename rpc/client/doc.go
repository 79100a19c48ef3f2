// Package client is a Go client of the Runnel protocol: it starts commands on a server, receives
// their output, and controls them.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8003/ws", client.Options{Token: token})
//	…
//	s, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "make"}}, client.Events{
//		Output: func(o *client.Output) { os.Stdout.Write(o.Data) },
//	})
//	…
//	record, err := s.Wait(ctx)
//
// # Overview
//
// A [Client] has one connection at a time. [Client.Call] sends any request of the protocol; the
// types of its params and results are in package rpc. Every wait of a call is bounded by its
// context: for a connection, for room in the queue of messages to send, and for the reply.
//
// A [Session] is a command that this client is attached to, by [Client.Execute] or [Client.Attach].
// Its events are delivered in the order of the server's log, each once, to the functions of
// [Events]; the completion record is returned by [Session.Wait].
//
// With [Options].Reconnect the client dials again after a connection is lost, and attaches to each
// session after the last event that it received. Requests that may be sent twice are sent again:
// execute, because the client chooses the session's id, and write, because it gives the offset of
// its data. Events that the server's log no longer has are reported as a gap.
//
// Without a window the callbacks run on the goroutine that reads the connection: a slow callback
// delays all sessions of the client. With Events.Window each session has its own goroutine and a
// queue of at most that many bytes of output. What has been consumed is acknowledged, and the
// server sends only as much as the window permits; if the queue stays full, the command blocks when
// it writes. Events.Readers provides the output as an io.Reader for each stream instead.
//
// # Concurrency
//
// A call, from the method to its reply:
//
//	Call ─ pendingCalls.add ─ outbox.send ──► outbox ──► socket ──► server
//	  ▲                                  (one goroutine writes)       │
//	  └── reply ◄─ pendingCalls.receive ◄─ connection.read ◄──────────┘
//	                                 (one goroutine reads)
//
// An event, from the connection to a callback:
//
//	socket ─ connection.read ─ Session.output or Session.event
//	                                 │
//	       no window ────────────────┼──► functions of Events
//	       Events.Window ── queue ───┼──► receiveQueue.dispatch ──► functions of Events
//	       Events.Readers ─ queue ───┴──► reader.Read
//	                          └─ ack of what is consumed ──► outbox
//
// Client.maintain owns the connection: when it is lost, it dials the next one, attaches the
// sessions to it, and then makes it the current one.
//
// # Compatibility
//
// The module follows semantic versioning (docs/contributing.md). As long as its major version is 0,
// a minor version may change this API; docs/changelog.md lists each such change. From v1 on, the
// exported names of this package remain source compatible within a major version: functions and
// methods keep their signatures, and fields are added to structs only. Use field names in struct
// literals, and the zero value for what is not needed: the zero value of Options, Events and
// Reconnect works, and a new field's zero value means the behavior from before it existed. Check
// errors with errors.Is and errors.As; their texts may change. The client ignores notifications and
// fields that it does not know, so it works with newer servers of the same protocol version. Before
// using a param that an older server may not know, check Connected().Capabilities.
package client
