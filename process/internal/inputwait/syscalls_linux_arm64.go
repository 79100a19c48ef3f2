package inputwait

import "golang.org/x/sys/unix"

// inputCalls are the system calls that can block for input.
var inputCalls = map[int64]callKind{
	unix.SYS_READ:         callFD,
	unix.SYS_READV:        callFD,
	unix.SYS_PREADV2:      callFD,
	unix.SYS_SPLICE:       callFD,
	unix.SYS_TEE:          callFD,
	unix.SYS_PPOLL:        callPoll,
	unix.SYS_PSELECT6:     callSelect,
	unix.SYS_EPOLL_PWAIT:  callEpoll,
	unix.SYS_EPOLL_PWAIT2: callEpoll,
}
