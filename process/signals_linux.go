package process

import (
	"strconv"
	"strings"
	"syscall"
)

// The numbers of the real-time signals, as programs have them: the C library keeps the kernel's first two to itself.
const (
	minRealTime = 34 // SIGRTMIN
	maxRealTime = 64 // SIGRTMAX
)

// numberedSignal is a real-time signal: a number from 32 on, RTMIN, RTMIN+n, RTMAX or RTMAX-n.
func numberedSignal(name string) syscall.Signal {
	from, digits := 0, name
	switch {
	case name == "RTMIN":
		return minRealTime
	case name == "RTMAX":
		return maxRealTime
	case strings.HasPrefix(name, "RTMIN+"):
		from, digits = minRealTime, name[len("RTMIN+"):]
	case strings.HasPrefix(name, "RTMAX-"):
		from, digits = maxRealTime, name[len("RTMAX-"):]
	}
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || strconv.FormatUint(n, 10) != digits {
		return 0
	}
	sig := int(n)
	switch from {
	case minRealTime:
		sig += minRealTime
	case maxRealTime:
		sig = maxRealTime - sig
	}
	if least := minRealTime; sig < least && (from != 0 || sig < least-2) || sig > maxRealTime {
		return 0
	}
	return syscall.Signal(sig)
}
