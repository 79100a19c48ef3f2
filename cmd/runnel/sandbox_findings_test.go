package main

import (
	"strings"
	"testing"
)

// TestSandboxFindings: each cause is recognized, and nothing else is said.
func TestSandboxFindings(t *testing.T) {
	t.Parallel()
	working := func(change func(*machine)) machine {
		m := machine{UID: 1000, Bubblewrap: &bubblewrapInfo{Path: "/usr/bin/bwrap", Version: "0.11", BindFD: true}, Landlock: landlockInfo{ABI: 7}, Sysctls: map[string]string{}}
		change(&m)
		return m
	}
	noProc := bubblewrapErrors{Processes: "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"}
	restricted := func(m *machine) {
		m.Sysctls["kernel.apparmor_restrict_unprivileged_userns"] = "1"
		m.Bubblewrap.Errors = bubblewrapErrors{Mount: "bwrap: setting up uid map: Permission denied"}
	}
	for name, c := range map[string]struct {
		change  func(*machine)
		problem string
		remedy  string
	}{
		"no bwrap":         {func(m *machine) { m.Bubblewrap = nil }, "not installed", "apt-get install bubblewrap"},
		"broken bwrap":     {func(m *machine) { m.Bubblewrap = &bubblewrapInfo{Path: "/b", Broken: "no library"} }, "/b does not work: no library", "--bubblewrap"},
		"old bwrap":        {func(m *machine) { m.Bubblewrap.BindFD = false }, "--bind-fd", "0.10"},
		"set-user-ID":      {func(m *machine) { m.Bubblewrap.SetUID = true }, "set-user-ID", "chmod u-s /usr/bin/bwrap"},
		"old kernel":       {func(m *machine) { m.UserNamespaces = "EINVAL" }, "CONFIG_USER_NS", "root"},
		"no namespaces":    {func(m *machine) { m.UserNamespaces, m.Sysctls["user.max_user_namespaces"] = "ENOSPC", "0" }, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="},
		"many namespaces":  {func(m *machine) { m.UserNamespaces, m.Sysctls["user.max_user_namespaces"] = "ENOSPC", "9" }, "which is 9 here", "sysctl -w user.max_user_namespaces="},
		"no networks":      {func(m *machine) { m.Sysctls["user.max_net_namespaces"] = "0" }, "user.max_net_namespaces is 0", "sysctl -w user.max_net_namespaces="},
		"for root only":    {func(m *machine) { m.UserNamespaces, m.Sysctls["kernel.unprivileged_userns_clone"] = "EPERM", "0" }, "kernel.unprivileged_userns_clone", "=1"},
		"AppArmor":         {restricted, "AppArmor restricts", "profile bwrap /usr/bin/bwrap flags=(unconfined)"},
		"AppArmor refuses": {func(m *machine) { restricted(m); m.UserNamespaces = "EACCES" }, "AppArmor restricts", "userns,"},
		"chroot":           {func(m *machine) { m.UserNamespaces, m.Chroot = "EPERM", true }, "chroot(2)", "RootDirectory="},
		"filter":           {func(m *machine) { m.UserNamespaces, m.Seccomp = "EPERM", true }, "kernel or a seccomp filter", "RestrictNamespaces="},
		"no openat2":       {func(m *machine) { m.OpenAt2, m.UserNamespaces = "ENOSYS", "EPERM" }, "no openat2(2)", "5.6"},
		"in a sandbox": {func(m *machine) {
			m.OpenAt2, m.Seccomp, m.RefusesNamespaces, m.UserNamespaces = "ENOSYS", true, true, "EPERM"
		}, "refuses openat2(2). Every sandbox needs it. That of a sandbox of Runnel", "without one of its own"},
		"no ids": {func(m *machine) { m.UserNamespaces, m.Unmapped, m.UID = "EPERM", true, 65534 }, "no id for its user", "--map-current-user"},
		"filter of mounts": {func(m *machine) {
			m.Seccomp, m.RefusesMounts, m.Bubblewrap.Errors.Mount = true, true, "bwrap: Failed to make / slave: x"
		}, "refuses mounts", "mount"},
		"module in filter": {func(m *machine) { m.Seccomp, m.Bubblewrap.Errors.Mount = true, "bwrap: Failed to make / slave: x" }, "Mounts are refused", "apparmor"},
		"proc is not it": {func(m *machine) {
			m.ReadOnlyProc, m.Bubblewrap.Errors.Mount = true, "bwrap: Creating new namespace failed: x"
		}, "bwrap fails", "dmesg"},
		"service":          {func(m *machine) { m.UserNamespaces, m.RefusesNamespaces, m.Unit = "EPERM", true, "a.service" }, "seccomp filter", "SystemCallFilter="},
		"container":        {func(m *machine) { m.UserNamespaces, m.RefusesNamespaces, m.Container = "EPERM", true, "docker" }, "seccomp filter", "--security-opt seccomp="},
		"module":           {func(m *machine) { m.UserNamespaces = "EACCES" }, "security module", "user_namespace"},
		"mounts":           {func(m *machine) { m.Bubblewrap.Errors.Mount = "bwrap: Failed to make / slave: Permission denied" }, "Mounts are refused", "apparmor=unconfined"},
		"covered proc":     {func(m *machine) { m.Bubblewrap.Errors, m.CoveredProc = noProc, []string{"/proc/kcore"} }, "/proc/kcore", "systempaths=unconfined"},
		"service's proc":   {func(m *machine) { m.Bubblewrap.Errors, m.Unit = noProc, "a.service" }, "/proc of its own", "ProtectKernelTunables="},
		"read-only proc":   {func(m *machine) { m.Bubblewrap.Errors.Mount, m.ReadOnlyProc = "bwrap: x: Read-only file system", true }, "/proc is mounted read-only", "unmask=/proc/*"},
		"something":        {func(m *machine) { m.Bubblewrap.Errors.Network = "bwrap: what" }, "bwrap fails: bwrap: what", "dmesg"},
		"setns":            {func(m *machine) { m.Seccomp = true }, "setns(2)", "clone, unshare and setns"},
		"root of a chroot": {func(m *machine) { m.UID, m.SysAdmin, m.Chroot, m.Bubblewrap.Errors.Mount = 0, true, true, "bwrap: x" }, "chroot(2)", "pivot_root"},
		"no set-user-ID":   {func(m *machine) { m.Seccomp, m.OpenAt2 = true, "ENOSYS" }, "openat2(2)", "RestrictSUIDSGID="},
		"no netlink": {func(m *machine) {
			m.Bubblewrap.Errors.Network = "bwrap: loopback: Failed to create NETLINK_ROUTE socket"
		}, "Netlink", "AF_NETLINK"},
		"only processes": {func(m *machine) { m.Bubblewrap.Errors.Mount, m.Unit = "bwrap: Can't read /proc/sys/x", "a.service" }, "processes only", "ProcSubset="},
		"nothing":        {func(*machine) {}, "does not know", "dmesg"},
		"no CAP_SETFCAP": {func(m *machine) { m.UID, m.Bubblewrap.Errors.Mount = 0, "bwrap: setting up uid map: x" }, "CAP_SETFCAP", "--cap-add SETFCAP"},
		"root of a container": {func(m *machine) {
			m.UID, m.UserNamespaces, m.RefusesNamespaces, m.Container = 0, "EPERM", true, "podman"
		},
			"seccomp filter", "--security-opt seccomp="},
		"root": {func(m *machine) {
			m.UID, m.SysAdmin, m.UserNamespaces = 0, true, "ENOSPC"
			m.Bubblewrap.Errors.Mount = "bwrap: Failed to mount tmpfs: Permission denied"
		}, "Mounts are refused", "label=disable"},
	} {
		m := working(c.change)
		found := m.diagnose(false)
		if len(found) != 1 || !strings.Contains(found[0].Problem, c.problem) || !strings.Contains(found[0].Remedy, c.remedy) || found[0].Optional {
			t.Errorf("%s: %+v, want %q, %q", name, found, c.problem, c.remedy)
		}
	}
	for name, c := range map[string]struct {
		landlock        landlockInfo
		problem, remedy string
	}{
		"old":      {landlockInfo{Error: "ENOSYS"}, "has no Landlock", "CONFIG_SECURITY_LANDLOCK"},
		"first":    {landlockInfo{ABI: 1}, "ABI 1", "6.2"},
		"disabled": {landlockInfo{Error: "EOPNOTSUPP", LSMs: []string{"capability", "yama"}}, "not enabled", "lsm=landlock,capability,yama"},
		"refused":  {landlockInfo{Error: "EPERM"}, "filter of this process refuses Landlock, as", "landlock_restrict_self"},
		"filter":   {landlockInfo{Error: "ENOSYS"}, "or the kernel has none", "landlock_restrict_self"},
		"filter 2": {landlockInfo{Error: "ENOSYS", LSMs: []string{"landlock"}}, "refuses Landlock, as", "landlock_restrict_self"},
	} {
		m := working(func(m *machine) { m.Landlock, m.Seccomp = c.landlock, strings.HasPrefix(name, "filter") })
		found := m.diagnose(true)
		if len(found) != 1 || !strings.Contains(found[0].Problem, c.problem) || !strings.Contains(found[0].Remedy, c.remedy) || !found[0].Optional {
			t.Errorf("%s: %+v", name, found)
		}
	}
	m := working(func(*machine) {})
	if found := m.diagnose(true); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	m = machine{OnlyLinux: true}
	if found := m.diagnose(false); len(found) != 1 || !strings.Contains(found[0].Problem, "Linux") {
		t.Errorf("%+v", found)
	}
}
