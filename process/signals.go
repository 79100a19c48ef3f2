package process

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// synonyms are the names of signal(7) that are second names of others.
var synonyms = map[string]string{
	"SIGCLD": "SIGCHLD", "SIGIOT": "SIGABRT", "SIGPOLL": "SIGIO", "SIGUNUSED": "SIGSYS",
}

// SignalByName is the signal of a name as signal(7) has it, with or without SIG: TERM, SIGTERM, RTMIN, RTMIN+1, RTMAX-1;
// or of a name as SignalName gives it: SIG34. It is 0 for what names none.
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

// SignalName is the name of a signal: SIGTERM; SIG34 for one that has none, as the real-time signals.
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("SIG%d", int(sig))
}
