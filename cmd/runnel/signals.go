package main

import (
	"os"
	"os/signal"
	"slices"
)

// unlessIgnored are those of signals that this process was not started to ignore, as by nohup(1) or in the
// background of a script: taking one would undo that. SIGHUP and SIGINT alone can be missing.
func unlessIgnored(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}
