package process

import "golang.org/x/sys/unix"

// waitCalls are the system calls that wait for input.
var waitCalls = map[int64]waitKind{
	unix.SYS_READ:         waitFile,
	unix.SYS_READV:        waitFile,
	unix.SYS_PREADV2:      waitFile,
	unix.SYS_SPLICE:       waitFile,
	unix.SYS_TEE:          waitFile,
	unix.SYS_POLL:         waitPoll,
	unix.SYS_PPOLL:        waitPoll,
	unix.SYS_SELECT:       waitSelect,
	unix.SYS_PSELECT6:     waitSelect,
	unix.SYS_EPOLL_WAIT:   waitEpoll,
	unix.SYS_EPOLL_PWAIT:  waitEpoll,
	unix.SYS_EPOLL_PWAIT2: waitEpoll,
}
