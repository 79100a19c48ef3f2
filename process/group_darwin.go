package process

import "syscall"

// withHandle asks for the child's pidfd, which there is none of here.
func withHandle(attr *syscall.SysProcAttr, pidfd *int) *syscall.SysProcAttr {
	*pidfd = -1
	return attr
}

func host() kernel {
	return kernel{kill: kill, members: groupMembers, session: sessionMembers, signalOne: signalOne}
}
