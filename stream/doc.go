// Package stream carries the output of a process to its readers.
//
//	pipe → Reader → Log → Cursor
//
// A [Reader] cuts output into lines with bounded memory. A [Log] keeps the newest output and the
// state events, and any number of [Cursor] values read it. A [Budget] bounds the memory of many
// logs. A [Deadline] is a timer that can be paused, for limits on running time and on silence.
// Output is copied at most once, into the log, whose memory is reused.
//
// The package does not know sessions, JSON or sockets. It serves this module's server: its API may
// change with each minor version of the module.
package stream
