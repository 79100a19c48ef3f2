package procfs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// RealtimeTimeout returns the soft limit RLIMIT_RTTIME of a process in microseconds
// (proc_pid_limits(5)), or 0 if there is none. Any user may read it, but it takes ten times as long
// as prlimit(2). The error is ESRCH if there is no such process.
func RealtimeTimeout(pid int) (uint64, error) {
	text, err := fdreserve.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if fdreserve.Exhausted(err) {
		return 0, err
	}
	if err != nil {
		return 0, unix.ESRCH
	}
	return parseRealtimeTimeout(text), nil
}

func parseRealtimeTimeout(text []byte) uint64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("Max realtime timeout")); ok {
			if fields := bytes.Fields(rest); len(fields) > 0 {
				n, _ := strconv.ParseUint(string(fields[0]), 10, 64) // 0 for "unlimited"
				return n
			}
		}
	}
	return 0
}
