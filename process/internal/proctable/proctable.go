// Package proctable finds processes in the process table and signals one of them safely, on Linux
// by /proc and pidfds, on Darwin by sysctl(3). All functions may be called from any goroutine.
package proctable

// Entry is a process, as the process table had it.
type Entry struct {
	PID     int
	Parent  int
	Group   int
	Session int
	Start   uint64 // the start time, in units of the system; with PID it identifies the process
	Stopped bool
}

// StartTime returns the start time of a process, or 0 if there is no such process or it cannot be
// read.
func StartTime(pid int) uint64 { return Lookup(pid).Start }
