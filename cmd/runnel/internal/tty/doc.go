// Package tty has what a client needs to use its own terminal for a session: the keys that leave the
// session ([DetachKeys], [KeyFilter]), and what undoes the modes that the session's output has set
// ([Modes]). It does no input or output.
package tty
