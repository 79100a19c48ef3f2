// Package kernel finds out why a system call is missing or refused: by the version of the kernel, or by
// a filter (seccomp(2)) of this process, such as that of a container, of a service or of a sandbox.
package kernel
