package process

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

const maxrssUnit = 1024 // getrusage(2): ru_maxrss is in kilobytes

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every architecture of Go's (time(7)).
const clockTick = 10 * time.Millisecond

// ownTime is the processor time of a process without that of its children, 0 where it is not to be known.
func ownTime(pid int) time.Duration {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	const user, system = 11, 12 // fields after the name
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) <= system {
		return 0
	}
	u, _ := strconv.ParseInt(string(fields[user]), 10, 64)
	s, _ := strconv.ParseInt(string(fields[system]), 10, 64)
	return time.Duration(u+s) * clockTick
}
