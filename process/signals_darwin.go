package process

import "syscall"

// numberedSignal returns 0: Darwin has no real-time signals.
func numberedSignal(string) syscall.Signal { return 0 }
