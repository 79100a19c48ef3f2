package spawn

import "golang.org/x/sys/unix"

// Architectures that came later have only mkdirat(2).
func init() { mkdirCalls = append(mkdirCalls, unix.SYS_MKDIR) }
