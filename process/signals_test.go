//go:build linux

package process

import (
	"syscall"
	"testing"
)

func TestSignalNames(t *testing.T) {
	for name, want := range map[string]syscall.Signal{
		"SIGTERM": 15, "TERM": 15, "KILL": 9, "SIGIOT": 6, "POLL": 29, "CLD": 17, "SIGPWR": 30, "STKFLT": 16,
		"SIG34": 34, "34": 34, "SIG32": 32, "SIG64": 64, "RTMIN": 34, "SIGRTMIN": 34, "RTMIN+0": 34, "SIGRTMIN+3": 37, "RTMIN+30": 64,
		"RTMAX": 64, "SIGRTMAX-1": 63, "RTMAX-30": 34,
		"": 0, "SIG": 0, "term": 0, "SIGSIGTERM": 0, "9": 0, "SIG9": 0, "SIG31": 0, "SIG65": 0, "SIG034": 0, "RTMIN+31": 0, "RTMAX-31": 0,
		"RTMIN-1": 0, "RTMAX+1": 0, "RTMIN+": 0, "RTMIN+ 1": 0, "SIG-34": 0, "SIG+34": 0, "SIG999999999999": 0, "RTMIN+250": 0,
	} {
		if got := SignalByName(name); got != want {
			t.Errorf("SignalByName(%q) = %d, want %d", name, got, want)
		}
	}
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if name := SignalName(sig); SignalByName(name) != sig {
			t.Errorf("SignalName(%d) = %s, and SignalByName of that = %d", sig, name, SignalByName(name))
		}
	}
}
