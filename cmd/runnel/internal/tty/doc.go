// Package tty has what a client needs to lend its own terminal to a session: the keys that leave the
// session ([DetachKeys], [KeyFilter]), and what undoes the modes that the session's output has set
// ([Modes]). It does no input or output.
package tty
