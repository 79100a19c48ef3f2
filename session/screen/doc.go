// Package screen computes what a terminal shows from the output of a program, and returns text that makes
// another terminal show the same. It knows bytes, sizes and positions, and nothing of sessions.
//
// It emulates what xterm and its relatives agree on, as far as programs use it. Queries are not answered: the
// emulator returns nothing to the program.
//
// The work and the memory for a screen are bounded whatever the program writes: see [MaxFeed], [MaxCells] and
// [MaxWork].
package screen
