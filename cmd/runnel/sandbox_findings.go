package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// finding is something that prevents sandboxes, or makes them weaker.
type finding struct {
	Problem  string `json:"problem"`
	Remedy   string `json:"remedy"` // lines
	Optional bool   `json:"optional,omitempty"`
}

// diagnose says what to change on a machine. complete is whether every part of a sandbox can be
// enforced; then only what would add to that is found.
func (m *machine) diagnose(complete bool) []finding {
	if m.OnlyLinux {
		return []finding{{Problem: "Sandboxes need Linux.", Remedy: "Run the server on Linux, or in a virtual machine with it."}}
	}
	if complete {
		return m.landlock(true)
	}
	if m.OpenAt2 != "" { // whatever else is wrong
		return m.noOpenAt2()
	}
	all := slices.Concat(m.bubblewrap(), m.userNamespaces(), m.otherNamespaces(), m.mounts(), m.proc(), m.netlink())
	if len(all) == 0 {
		all = m.unknown()
	}
	return append(all, m.landlock(false)...)
}

// noOpenAt2 finds out why a system call is missing without which no file can be opened for a command.
func (m *machine) noOpenAt2() []finding {
	if !m.Seccomp {
		return []finding{{Problem: "The kernel has no openat2(2) (" + m.OpenAt2 + ").", Remedy: "Use Linux 5.6 or later."}}
	}
	f := m.filtered("openat2(2)")
	f.Problem += " Every sandbox needs it. That of a sandbox of Runnel does so: no other one can be made in it."
	f.Remedy = "In a sandbox of Runnel, start the command without one of its own. In a unit of systemd leave out RestrictSUIDSGID=.\nElsewhere, permit openat2 in the filter."
	return []finding{f}
}

// bubblewrap finds what is wrong with the program.
func (m *machine) bubblewrap() []finding {
	b := m.Bubblewrap
	switch {
	case b == nil:
		return []finding{{
			Problem: "bubblewrap is not installed: there is no bwrap in PATH.",
			Remedy:  "Install the package bubblewrap (apt-get install bubblewrap, dnf install bubblewrap,\napk add bubblewrap, pacman -S bubblewrap), or name the program with --bubblewrap.",
		}}
	case b.Broken != "":
		return []finding{{
			Problem: b.Path + " does not work: " + b.Broken,
			Remedy:  "Install the package bubblewrap again, or name another program with --bubblewrap.",
		}}
	case !b.BindFD:
		return []finding{{
			Problem: fmt.Sprintf("%s %s has no option --bind-fd, which binds files that cannot be exchanged.", b.Path, b.Version),
			Remedy:  "Install bubblewrap 0.10 or later, or a package with the correction of CVE-2024-42472.",
		}}
	case b.SetUID:
		return []finding{{
			Problem: b.Path + " is set-user-ID: then only root can enter the namespaces that it makes.",
			Remedy:  "chmod u-s " + b.Path + "\nUser namespaces must be permitted then, see sysctl user.max_user_namespaces.",
		}}
	}
	return nil
}

// userNamespaces finds out why no user namespace can be made. Root needs none, with CAP_SYS_ADMIN.
func (m *machine) userNamespaces() []finding {
	if m.UserNamespaces == "" {
		return m.appArmor()
	}
	if m.UID == 0 && m.SysAdmin {
		return nil
	}
	switch {
	case m.UserNamespaces == "EINVAL":
		return []finding{{
			Problem: "The kernel has no user namespaces (CONFIG_USER_NS).",
			Remedy:  "Use a kernel with them, or run the server as root.",
		}}
	case m.UserNamespaces == "ENOSPC" || m.UserNamespaces == "EUSERS":
		return m.namespaceLimit("user")
	case m.RefusesNamespaces:
		return []finding{m.filtered("user namespaces")}
	case m.Unmapped:
		return []finding{{
			Problem: fmt.Sprintf("This process is in a user namespace that has no id for its user or group (shown as %d): the kernel makes no other one in it.", m.UID),
			Remedy:  "Give it ids: unshare --map-current-user or --map-root-user, or the ranges of /etc/subuid and /etc/subgid\n(newuidmap(1)).",
		}}
	case m.Sysctls["kernel.unprivileged_userns_clone"] == "0":
		return []finding{{
			Problem: "Users may not make user namespaces: sysctl kernel.unprivileged_userns_clone is 0.",
			Remedy:  permanently("kernel.unprivileged_userns_clone=1"),
		}}
	case m.Chroot:
		return []finding{chrooted}
	}
	if found := m.appArmor(); found != nil {
		return found
	}
	if m.Seccomp {
		f := m.filtered("")
		f.Problem = "The kernel or a seccomp filter of this process refuses user namespaces (" + m.UserNamespaces + ")."
		return []finding{f}
	}
	return []finding{{
		Problem: "The kernel refuses user namespaces (" + m.UserNamespaces + "), probably because of a security module.",
		Remedy:  "Look for a denial in the log of the kernel (dmesg, ausearch -m avc). With SELinux the class\nuser_namespace decides, with AppArmor the rule userns.",
	}}
}

var chrooted = finding{
	Problem: "This process is in a chroot(2), in which the kernel refuses user namespaces and changes of the root.",
	Remedy:  "Start the server with another root by a mount namespace and pivot_root(2), as RootDirectory= of systemd\nand containers do.",
}

// appArmor finds the restriction of user namespaces that Ubuntu has. They can be made then, but give
// no capabilities.
func (m *machine) appArmor() []finding {
	if m.Sysctls["kernel.apparmor_restrict_unprivileged_userns"] != "1" || m.UID == 0 && m.SysAdmin {
		return nil
	}
	path := "/usr/bin/bwrap"
	if m.Bubblewrap != nil {
		path = m.Bubblewrap.Path
		if m.Bubblewrap.Errors == (bubblewrapErrors{}) && m.UserNamespaces == "" {
			return nil // a profile permits it
		}
	}
	return []finding{{
		Problem: "AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns is 1.",
		Remedy: "Permit them for bwrap by a file /etc/apparmor.d/bwrap, and load it with\napparmor_parser -r /etc/apparmor.d/bwrap:\n\n" +
			"    abi <abi/4.0>,\n    include <tunables/global>\n    profile bwrap " + path + " flags=(unconfined) {\n      userns,\n      include if exists <local/bwrap>\n    }\n\n" +
			"This permits them to everybody who can run bwrap.",
	}}
}

// otherNamespaces finds limits of namespaces of other kinds.
func (m *machine) otherNamespaces() (all []finding) {
	for _, kind := range []string{"mnt", "pid", "net", "ipc", "uts"} {
		if m.Sysctls["user.max_"+kind+"_namespaces"] == "0" {
			all = append(all, m.namespaceLimit(kind)...)
		}
	}
	return all
}

func (m *machine) namespaceLimit(kind string) []finding {
	name := "user.max_" + kind + "_namespaces"
	value, known := m.Sysctls[name]
	if known && value != "0" {
		return []finding{{
			Problem: fmt.Sprintf("No more namespaces (%s) may be made: their number has reached sysctl %s, which is %s here, or a limit outside of this container.", kind, name, value),
			Remedy:  permanently(name + "=100000"),
		}}
	}
	return []finding{{
		Problem: fmt.Sprintf("No namespaces (%s) may be made: sysctl %s is %s.", kind, name, cmp.Or(value, "unknown")),
		Remedy:  permanently(name + "=100000"),
	}}
}

// permanently returns the commands that set a sysctl.
func permanently(setting string) string {
	return "sysctl -w " + setting + "\nTo keep it after a reboot, write it to a file in /etc/sysctl.d. In a container set it outside."
}

// mounts finds out whether mounts are refused although namespaces are permitted.
func (m *machine) mounts() []finding {
	if m.Bubblewrap == nil || m.UserNamespaces != "" && (m.UID != 0 || !m.SysAdmin) {
		return nil
	}
	text := m.Bubblewrap.Errors.Mount
	switch {
	case text == "", m.appArmor() != nil:
		return nil
	case m.Chroot:
		return []finding{chrooted}
	case m.UID == 0 && !m.SetFCap && strings.Contains(text, "uid map"):
		return []finding{{
			Problem: "Root lacks CAP_SETFCAP here, without which it can have no user namespace (" + text + ").",
			Remedy:  "Run the server as another user, or add the capability: Docker, Podman: --cap-add SETFCAP.\nKubernetes: securityContext.capabilities.add: [SETFCAP]. systemd: CapabilityBoundingSet=.",
		}}
	case m.RefusesMounts:
		return []finding{m.filtered("mounts (" + text + ")")}
	case m.Seccomp && strings.Contains(text, "namespace"):
		return []finding{m.filtered("namespaces (" + text + ")")}
	case !containsAny(text, "mount", "slave", "pivot_root"):
		return nil
	}
	return []finding{{
		Problem: "Mounts are refused (" + text + "), usually by the AppArmor or SELinux profile of a container.",
		Remedy:  "Docker: --security-opt apparmor=unconfined, with SELinux --security-opt label=disable.\nPodman: --security-opt label=disable. Kubernetes: securityContext.appArmorProfile.type: Unconfined.",
	}}
}

// proc finds out why a new /proc cannot be mounted: the kernel refuses one that would show more than
// the present one.
func (m *machine) proc() []finding {
	b := m.Bubblewrap
	if b == nil {
		return nil
	}
	readOnly := m.ReadOnlyProc && strings.Contains(b.Errors.Mount, "Read-only file system") // bwrap writes to it
	subset := strings.Contains(b.Errors.Mount, "/proc/sys")
	if !readOnly && !subset && (b.Errors.Mount != "" || !strings.Contains(b.Errors.Processes, "proc")) {
		return nil
	}
	problem := "A PID namespace cannot have a /proc of its own (" + cmp.Or(b.Errors.Mount, b.Errors.Processes) + ")."
	switch {
	case subset:
		problem = "/proc shows processes only (" + b.Errors.Mount + ")."
	case readOnly:
		problem = "/proc is mounted read-only (" + b.Errors.Mount + ")."
	case len(m.CoveredProc) > 0:
		problem += " Parts of /proc are covered by mounts: " + strings.Join(m.CoveredProc[:min(len(m.CoveredProc), 5)], ", ") + "."
	}
	f := finding{Problem: problem}
	if m.Unit != "" {
		f.Remedy = "In the unit " + m.Unit + " of systemd leave out ProtectKernelTunables=, ProtectKernelLogs=, ProcSubset=,\nInaccessiblePaths= and ReadOnlyPaths= below /proc."
	} else {
		f.Remedy = "Docker: --security-opt systempaths=unconfined. Podman: --security-opt unmask=/proc/*.\nKubernetes: hostUsers: false, with securityContext.procMount: Unmasked."
	}
	return []finding{f}
}

// filtered is the finding that a seccomp filter refuses something.
func (m *machine) filtered(what string) finding {
	f := finding{Problem: "A seccomp filter of this process refuses " + what + "."}
	service := "In a unit of systemd leave out RestrictNamespaces=, and SystemCallFilter= or add to it\n@process @mount seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self."
	container := "Docker, Podman: --security-opt seccomp=FILE, with a profile that permits clone, unshare and setns with\nCLONE_NEW*, mount, umount2 and pivot_root; seccomp=unconfined permits everything.\nKubernetes: securityContext.seccompProfile."
	switch {
	case m.Unit != "":
		f.Remedy = service
	case m.Container != "":
		f.Remedy = container
	default:
		f.Remedy = service + "\n" + container
	}
	return f
}

// landlock finds out why there is no Landlock. With bubblewrap it is a second barrier; without, it
// enforces files alone.
func (m *machine) landlock(bubblewrap bool) []finding {
	l := &m.Landlock
	if l.ABI >= sandbox.MinLandlockABI {
		return nil
	}
	f := finding{Optional: true, Problem: "The kernel has no Landlock"}
	switch {
	case l.ABI > 0:
		f.Problem = fmt.Sprintf("The kernel has Landlock with ABI %d only", l.ABI)
		f.Remedy = "Use Linux 6.2 or later."
	case l.Error == "EOPNOTSUPP":
		f.Problem = "Landlock was not enabled when the kernel was started"
		modules := "landlock,…"
		if len(l.LSMs) > 0 {
			modules = strings.Join(slices.Concat([]string{"landlock"}, l.LSMs), ",")
		}
		f.Remedy = "Add it to the list of security modules in the command line of the kernel: lsm=" + modules
	case l.Error == "EPERM" || m.Seccomp && slices.Contains(l.LSMs, "landlock"):
		f.Problem = "A seccomp filter of this process refuses Landlock, as that of a container"
		f.Remedy = "Permit landlock_create_ruleset, landlock_add_rule and landlock_restrict_self in the filter."
	case m.Seccomp:
		f.Problem = "A seccomp filter of this process refuses Landlock, or the kernel has none (" + l.Error + ")"
		f.Remedy = "Permit landlock_create_ruleset, landlock_add_rule and landlock_restrict_self in the filter, or use Linux 6.2\nor later, built with CONFIG_SECURITY_LANDLOCK."
	default:
		f.Remedy = "Use Linux 6.2 or later, built with CONFIG_SECURITY_LANDLOCK."
	}
	if bubblewrap {
		f.Problem += ": sandboxes have one barrier less."
	} else {
		f.Problem += ". Alone it can enforce files, and that there is no network, where namespaces cannot be had."
	}
	return []finding{f}
}

// netlink finds out whether the netlink sockets are refused with which bwrap makes a network.
func (m *machine) netlink() []finding {
	if m.Bubblewrap == nil || !strings.Contains(m.Bubblewrap.Errors.Network, "NETLINK_ROUTE") {
		return nil
	}
	return []finding{{
		Problem: "Netlink sockets are refused (" + m.Bubblewrap.Errors.Network + ").",
		Remedy:  "In a unit of systemd add AF_NETLINK to RestrictAddressFamilies=. In a container permit socket(2) with\nAF_NETLINK.",
	}}
}

// unknown is the finding if nothing else was found.
func (m *machine) unknown() []finding {
	problem := "Something refuses sandboxes that this check does not know."
	if b := m.Bubblewrap; b != nil {
		text := cmp.Or(b.Errors.Mount, b.Errors.Network, b.Errors.Processes)
		switch {
		case text != "":
			problem = "bwrap fails: " + text
		case m.RefusesNamespaces: // bwrap alone works, so only unshare(2) is refused
			return []finding{m.filtered("unshare(2) of namespaces")}
		case m.Seccomp: // bwrap alone works
			return []finding{m.filtered("something that bwrap does not need, such as setns(2) or seccomp(2)")}
		}
	}
	return []finding{{Problem: problem, Remedy: "Look for a denial in the log of the kernel (dmesg, ausearch -m avc)."}}
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
