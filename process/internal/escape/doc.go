// Package escape tests that a command in a sandbox cannot do what its sandbox forbids. It has a table
// of attempts, each of which succeeds without a sandbox, and has to fail under every mechanism. What
// an attempt has achieved is checked from outside wherever it changes or reads something there.
//
// No attempt damages the machine: where success would, a system call gets arguments that the kernel
// refuses after it has checked the privileges, which shows that it was reached.
package escape
