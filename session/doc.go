// Package session runs a bounded number of supervised commands. A [Registry] contains [Session]
// values, each with its state, its deadlines, its stdin and its event log.
//
//	Reserve → Begin → queued → starting → running ⇄ paused → ending → ended → retained, and then removed
//
// All changes of a session are made in Session.update, under its lock. The end of a session is
// described in end.go, its start in start.go, and the wait for a slot, if there is none, in queue.go.
//
// The package does not know JSON or sockets. It serves this module's server: its API may change
// with each minor version of the module.
package session
