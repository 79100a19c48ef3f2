// Package tty has what a client needs to use its own terminal for a session: the keys that leave the
// session ([DetachKeys], [KeyFilter]), what undoes the modes and colors that the session's output has set
// ([Modes]), and what remains of old output whose queries must not be answered ([Quiet]). It does no input or
// output.
package tty
