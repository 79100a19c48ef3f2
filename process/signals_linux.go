package process

import (
	"strconv"
	"strings"
	"syscall"
)

// The real-time signals of programs (signal(7)). The C library reserves the first two of the kernel.
const (
	minRealTime = 34 // SIGRTMIN
	maxRealTime = 64 // SIGRTMAX
)

// numberedSignal returns the real-time signal for RTMIN, RTMIN+n, RTMAX, RTMAX-n or a number from
// 32 on, else 0.
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
