package procfs

import (
	"bytes"
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
