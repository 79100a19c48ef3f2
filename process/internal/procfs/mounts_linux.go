package procfs

import (
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// Mount is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	ID      int    // that of statx(2)
	Parent  int    // the ID of the mount that Point is in
	Device  string // the file system, as MAJOR:MINOR
	Root    string // the directory of the file system that is mounted
	Point   string
	Type    string   // of the file system
	Options []string // of the file system
}

// OwnMounts reads /proc/self/mountinfo.
func OwnMounts() ([]Mount, error) {
	text, err := fdreserve.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return ParseMounts(text), nil
}

// ParseMounts parses the lines of a mountinfo file, and skips malformed ones.
func ParseMounts(text []byte) (mounts []Mount) {
	for line := range strings.Lines(string(text)) {
		if m, ok := parseMount(line); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// parseMount parses "36 35 98:0 /root /point options tags… - type source options".
func parseMount(line string) (m Mount, ok bool) {
	head, tail, ok := strings.Cut(line, " - ")
	before, after := strings.Fields(head), strings.Fields(tail)
	if !ok || len(before) < 5 || len(after) < 3 {
		return m, false
	}
	id, err := strconv.Atoi(before[0])
	parent, parentErr := strconv.Atoi(before[1])
	return Mount{id, parent, before[2], unescape(before[3]), unescape(before[4]), after[0], strings.Split(after[2], ",")}, err == nil && parentErr == nil
}

// unescape decodes the octal escapes of mountinfo, such as \040 for a space.
func unescape(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			s = s[:i] + string([]byte{byte(c)}) + s[i+4:]
		}
	}
	return s
}
