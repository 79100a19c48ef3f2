package process

import (
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// Exit is how the leader ended (wait4(2)). The times are those of the leader and of the descendants
// that it waited for; under Cgroup, those of the whole tree. MaxRSS is the peak of the largest of
// these processes; if a cgroup counted the memory of the tree, it is the peak of the tree.
type Exit struct {
	Code       int            // 0 to 255; -1 if a signal ended it or if not Known
	Signal     syscall.Signal // the signal that ended it; 0 if it exited
	Known      bool           // false if another part of this process reaped the leader (ECHILD)
	UserTime   time.Duration
	SystemTime time.Duration
	MaxRSS     int64 // bytes; 0 if it cannot be known
	Limit      Limit // the limit for which the kernel ended the leader; "" for none
}

func newExit(e leader.Exit) *Exit {
	return &Exit{
		Code: e.Code, Signal: e.Signal, Known: e.Known,
		UserTime: e.UserTime, SystemTime: e.SystemTime, MaxRSS: e.MaxRSS,
	}
}
