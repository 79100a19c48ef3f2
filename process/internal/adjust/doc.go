// Package adjust sets, right after the start of a command, what can be set for a running process
// from outside: the nice value of its autogroup, its oom_score_adj and its limit of processes. On
// Darwin it does nothing.
package adjust
