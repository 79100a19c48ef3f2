// Package stream carries the output of a process: a line [Reader] that bounds what a line may cost, a [Log]
// that keeps the newest of it for any number of [Cursor] readers, and the [Deadline] that ends a silence.
// It knows nothing of sessions, JSON or sockets.
//
// A byte goes one way: pipe → Reader → Log → Cursor. It is copied once, into the log.
package stream
