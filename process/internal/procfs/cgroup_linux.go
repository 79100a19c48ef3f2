package procfs

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// Cgroups are the cgroups of a process, as paths from the root of each hierarchy (cgroups(7),
// /proc/PID/cgroup).
type Cgroups struct {
	V2 string            // "" if there is none
	V1 map[string]string // by controller, or name=NAME for a hierarchy without controllers
}

// ReadCgroups reads /proc/PID/cgroup.
func ReadCgroups(pid int) (Cgroups, error) { return readCgroups(strconv.Itoa(pid)) }

// OwnCgroups reads /proc/self/cgroup.
func OwnCgroups() (Cgroups, error) { return readCgroups("self") }

func readCgroups(pid string) (Cgroups, error) {
	text, err := fdreserve.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return Cgroups{}, err
	}
	return ParseCgroups(text), nil
}

// ParseCgroups parses lines of "number:controllers:path".
func ParseCgroups(text []byte) Cgroups {
	c := Cgroups{V1: make(map[string]string)}
	for line := range bytes.Lines(text) {
		fields := strings.SplitN(strings.TrimRight(string(line), "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if fields[0] == "0" && fields[1] == "" {
			c.V2 = fields[2]
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			c.V1[controller] = fields[2]
		}
	}
	return c
}

// Mount is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
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
	return Mount{unescape(before[3]), unescape(before[4]), after[0], strings.Split(after[2], ",")}, true
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

// PathOf returns the path at which the mount shows a file of its file system, or "" if it does not.
func (m *Mount) PathOf(file string) string {
	rest, ok := strings.CutPrefix(file, strings.TrimRight(m.Root, "/"))
	if file == "" || !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return ""
	}
	return filepath.Join(m.Point, rest)
}
