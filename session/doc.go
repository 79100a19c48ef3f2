// Package session keeps a bounded number of supervised commands: a [Registry] of them, and each [Session]
// with its state, its deadlines, its stdin and its event log. It knows nothing of JSON or sockets.
package session
