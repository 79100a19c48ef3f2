package policy

import "golang.org/x/sys/unix"

// ownNice returns the nice value of this process, which commands inherit.
func ownNice() int {
	n, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return n
}
