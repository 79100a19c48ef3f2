package cgroup

import (
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

func TestHierarchies(t *testing.T) {
	const cgroups = "12:pids:/a/b\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/a b\n"
	const mounts = `22 1 0:20 / / rw - ext4 /dev/root rw
30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
31 22 0:27 /a /sys/fs/cgroup/pids rw shared:5 - cgroup cgroup rw,pids
32 22 0:28 / /sys/fs/cgroup/cpu\040acct rw - cgroup cgroup rw,cpu,cpuacct
33 22 0:29 /other /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
`
	h := hierarchiesOf(procfs.ParseCgroups([]byte(cgroups)), procfs.ParseMounts([]byte(mounts)))
	if h.V2 != "/sys/fs/cgroup/unified/user.slice/a b" || h.Shown != "/user.slice/a b" {
		t.Errorf("%+v", h)
	}
	if h.V1["pids"] != "/sys/fs/cgroup/pids/b" || h.V1["cpuacct"] != "/sys/fs/cgroup/cpu acct" || h.V1["name=systemd"] != "" || h.V1["memory"] != "" {
		t.Errorf("%+v", h.V1)
	}
	if h := hierarchiesOf(procfs.ParseCgroups([]byte("0::/../x\n")), procfs.ParseMounts([]byte(mounts))); h.V2 != "" {
		t.Errorf("outside of the cgroup namespace: %+v", h)
	}
}

func FuzzHierarchies(f *testing.F) {
	f.Add([]byte("0::/a\n1:pids:/"), []byte(`30 22 0:26 / /sys/fs/c\040g rw - cgroup2 cgroup2 rw`))
	f.Add([]byte("0::\n::"), []byte(`1 2 3 \ \04 x - cgroup y pids,\n`))
	f.Fuzz(func(t *testing.T, cgroups, mounts []byte) {
		h := hierarchiesOf(procfs.ParseCgroups(cgroups), procfs.ParseMounts(mounts))
		for _, dir := range append([]string{h.V2}, h.V1["pids"]) {
			if strings.Contains(dir, "/../") {
				t.Errorf("%q", dir)
			}
		}
	})
}
