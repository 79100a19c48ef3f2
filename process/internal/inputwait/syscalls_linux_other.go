//go:build linux && !amd64 && !arm64

package inputwait

// inputCalls is nil: the numbers of the system calls are not known for this architecture.
var inputCalls map[int64]callKind
