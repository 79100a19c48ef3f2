//go:build linux && !amd64

package escape

// architectureAttempts use the system calls of another architecture.
func architectureAttempts() []attempt { return nil }
