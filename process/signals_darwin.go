package process

import "syscall"

// numberedSignal is none: there are no real-time signals.
func numberedSignal(string) syscall.Signal { return 0 }
