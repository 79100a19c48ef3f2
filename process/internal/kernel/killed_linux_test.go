package kernel_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/kernel"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/internal/seccomp"
)

// TestKilled makes system calls of which one ends the process, as in a unit with SystemCallFilter=.
func TestKilled(t *testing.T) {
	if why := seccomp.WhyNot(); why != "" {
		proctest.SkipUnlessRequired(t, "seccomp", why)
	}
	if kernel.Killed(unix.SYS_GETPPID, 0, 0, 0) {
		t.Error("killed without such a filter")
	}
	for _, action := range []uint32{unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_KILL_THREAD, unix.SECCOMP_RET_TRAP} {
		proctest.OnThread(func() {
			errno := runas.NoNewPrivileges()
			if errno == 0 {
				errno = seccomp.Install([]unix.SockFilter{
					{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
					{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_GETPPID, Jt: 0, Jf: 1},
					{Code: unix.BPF_RET | unix.BPF_K, K: action},
					{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
				})
			}
			if errno != 0 {
				t.Error(errno)
				return
			}
			if !kernel.Killed(unix.SYS_GETPPID, 0, 0, 0) || kernel.Killed(unix.SYS_GETPID, 0, 0, 0) {
				t.Errorf("action %#x: the result is wrong", action)
			}
		})
	}
}
