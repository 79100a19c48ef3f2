package policy

import "golang.org/x/sys/unix"

// ownNice returns the nice value of this process, which commands inherit. The system call returns
// 20 minus it (getpriority(2)).
func ownNice() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - n
}
