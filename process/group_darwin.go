package process

import "syscall"

// groupAttr makes the child lead a group of its own before its exec. There is no pidfd here.
func groupAttr(pidfd *int) *syscall.SysProcAttr {
	*pidfd = -1
	return &syscall.SysProcAttr{Setpgid: true}
}

func host() kernel { return kernel{kill: kill, members: groupMembers} }
