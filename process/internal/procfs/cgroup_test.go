//go:build linux

package procfs

import "testing"

func TestParseMountsSkipsMalformedLines(t *testing.T) {
	for _, line := range []string{"", "a - b", "1 2 3 4 5 - cgroup2", " - cgroup2 x rw"} {
		if mounts := ParseMounts([]byte(line)); len(mounts) > 0 {
			t.Errorf("ParseMounts(%q) = %+v", line, mounts)
		}
	}
}
