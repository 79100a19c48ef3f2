//go:build linux && !amd64 && !arm64

package process

// waitCalls is nil where the numbers of the system calls are not known here.
var waitCalls map[int64]waitKind
