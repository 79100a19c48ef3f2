package process

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// synonyms maps the alternative names of signal(7) to the usual ones.
var synonyms = map[string]string{
	"SIGCLD": "SIGCHLD", "SIGIOT": "SIGABRT", "SIGPOLL": "SIGIO", "SIGUNUSED": "SIGSYS",
}

// SignalByName returns the signal with a name of signal(7), with or without SIG: TERM, SIGTERM,
// RTMIN, RTMIN+1, RTMAX-1; or with a name that SignalName returns: SIG34. It returns 0 if there is
// no such signal.
func SignalByName(name string) syscall.Signal {
	name = "SIG" + strings.TrimPrefix(name, "SIG")
	if same, ok := synonyms[name]; ok {
		name = same
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig
	}
	return numberedSignal(strings.TrimPrefix(name, "SIG"))
}

// SignalName returns the name of a signal, such as SIGTERM, or SIG34 for a signal without a name,
// such as the real-time signals.
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("SIG%d", int(sig))
}
