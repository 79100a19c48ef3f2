//go:build !linux

package spawn

// Sandbox is supported on Linux only.
type Sandbox struct{}
