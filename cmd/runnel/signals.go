package main

import (
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// notIgnored returns the signals that this process was not started with ignored, as by nohup(1) or
// in the background of a script: signal.Notify would undo that. The Go runtime reports only SIGHUP
// and SIGINT as ignored.
func notIgnored(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}

// resetIgnored makes commands start with the default disposition of signals that this process was
// started with ignored, as in the background of a script: else Ctrl-C would have no effect on them.
// This process catches the signal and does nothing, since execve(2) resets the disposition of a
// caught signal, and keeps that of an ignored one.
func resetIgnored() {
	mask := ignoredAtStart()
	for n := syscall.Signal(1); n < maxSignal; n++ {
		if mask.has(n) || signal.Ignored(n) {
			signal.Notify(make(chan os.Signal, 1), n)
		}
	}
}

// maxSignal is greater than all signal numbers (signal(7)).
const maxSignal = 65

// signalMask has a bit for each signal.
type signalMask uint64

func (m signalMask) has(sig syscall.Signal) bool { return m&(1<<(sig-1)) != 0 }

// ignoredAtStart returns the signals that this process was started with ignored. It is empty if
// /proc is not available.
func ignoredAtStart() signalMask {
	status, _ := os.ReadFile("/proc/self/status")
	return ignoredSignals(status)
}

// ignoredSignals returns SigIgn of a /proc/PID/status (proc_pid_status(5)).
func ignoredSignals(status []byte) signalMask {
	_, mask, _ := strings.Cut(string(status), "\nSigIgn:\t")
	mask, _, _ = strings.Cut(mask, "\n")
	ignored, _ := strconv.ParseUint(mask, 16, 64)
	return signalMask(ignored)
}
