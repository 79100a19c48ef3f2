// Package spool keeps sessions on the disk: their output, the starts of their commands and their completion
// records, so that they outlive the memory of the server, its clients and the server itself. Its
// format is described in docs/spool.md.
//
//	Log → Saver → writer  → window         the newest output of sessions that run
//	            → storer  → output/*.log   output that has left the memory
//	      start, record   → journal        and with the record, output that never left it
//
// All writes are made by a few goroutines, the writer and the storers, since a file system may block
// them for any time. Nobody waits for longer than about a second: see [Session.Stop].
package spool
