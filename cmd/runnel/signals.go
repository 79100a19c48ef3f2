package main

import (
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// unlessIgnored are those of signals that this process was not started to ignore, as by nohup(1) or in the
// background of a script: taking one would undo that. SIGHUP and SIGINT alone can be missing.
func unlessIgnored(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}

// ignoredToDefault sees that commands are not born to ignore what this process was started to ignore, as a server is
// that a script began in the background: Ctrl-C would do nothing to them. This process goes on to ignore it: it takes
// the signal and does nothing. For a signal that is caught, exec(2) restores the default.
func ignoredToDefault() {
	mask := ignoredAtStart()
	for n := syscall.Signal(1); n < maxSignal; n++ {
		if mask.has(n) || signal.Ignored(n) {
			signal.Notify(make(chan os.Signal, 1), n)
		}
	}
}

// maxSignal is above all numbers of signals (signal(7)).
const maxSignal = 65

// signalMask has a bit for each signal.
type signalMask uint64

func (m signalMask) has(sig syscall.Signal) bool { return m&(1<<(sig-1)) != 0 }

// ignoredAtStart is what this process was started to ignore. The Go runtime knows that of two; where /proc does not
// tell, it is nothing.
func ignoredAtStart() signalMask {
	status, _ := os.ReadFile("/proc/self/status")
	_, mask, _ := strings.Cut(string(status), "\nSigIgn:\t")
	mask, _, _ = strings.Cut(mask, "\n")
	ignored, _ := strconv.ParseUint(mask, 16, 64)
	return signalMask(ignored)
}
