// Package procfs reads and writes the files of proc(5). It has code for Linux only.
//
// All functions may be called from any goroutine. Those that open a file work without a free file
// descriptor, if the process has a reserve (package fdreserve), unless they say otherwise.
package procfs
