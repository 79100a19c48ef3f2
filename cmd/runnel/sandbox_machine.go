package main

import (
	"fmt"
	"strings"
)

// machine is what decides whether sandboxes can be made: the system, and how this process runs. It is
// examined by `runnel sandbox check` only. What can be enforced is found out by package process; this is
// for saying why.
type machine struct {
	System     string          `json:"system"` // name and release of the kernel
	UID        int             `json:"uid"`
	SysAdmin   bool            `json:"cap_sys_admin"`
	SetFCap    bool            `json:"cap_setfcap"`
	Bubblewrap *bubblewrapInfo `json:"bubblewrap"` // nil if there is none
	Landlock   landlockInfo    `json:"landlock"`
	// UserNamespaces is why the kernel makes no user namespace, "" if it makes them: EPERM, ENOSPC, …
	UserNamespaces string `json:"user_namespaces_error,omitempty"`
	// Sysctls are the settings that may refuse namespaces, by name. What the kernel does not have is
	// left out.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	Seccomp bool              `json:"seccomp"` // a filter applies to this process
	// RefusesNamespaces and RefusesMounts are what that filter is known to refuse.
	RefusesNamespaces bool   `json:"filter_refuses_namespaces,omitempty"`
	RefusesMounts     bool   `json:"filter_refuses_mounts,omitempty"`
	OpenAt2           string `json:"openat2_error,omitempty"` // why openat2(2) fails
	// Unmapped is that the user or group of this process has no id in its user namespace.
	Unmapped bool `json:"unmapped,omitempty"`
	Chroot   bool `json:"chroot"`
	// CoveredProc are the places below /proc that are covered by other mounts.
	CoveredProc  []string `json:"covered_proc,omitempty"`
	ReadOnlyProc bool     `json:"read_only_proc,omitempty"`
	Container    string   `json:"container,omitempty"` // docker, podman, kubernetes, …
	Unit         string   `json:"unit,omitempty"`      // of systemd, if this process is a service
	OnlyLinux    bool     `json:"only_linux,omitempty"`
}

// bubblewrapInfo is what is known about bwrap.
type bubblewrapInfo struct {
	Path    string `json:"path"`
	Version string `json:"version,omitempty"`
	Broken  string `json:"broken,omitempty"` // why it cannot be executed, or what it printed
	SetUID  bool   `json:"set_user_id,omitempty"`
	BindFD  bool   `json:"bind_fd"` // it has the option --bind-fd
	// Errors is what bwrap printed when it failed to make a sandbox with only a mount namespace, also
	// with a network, and also with processes. They are empty if it was not tried.
	Errors bubblewrapErrors `json:"errors,omitzero"`
}

type bubblewrapErrors struct {
	Mount     string `json:"mount,omitempty"`
	Network   string `json:"network,omitempty"`
	Processes string `json:"processes,omitempty"`
}

// landlockInfo is whether the kernel has Landlock.
type landlockInfo struct {
	ABI   int      `json:"abi"`             // 0 if there is none
	Error string   `json:"error,omitempty"` // then: ENOSYS, EOPNOTSUPP or EPERM
	LSMs  []string `json:"lsms,omitempty"`  // the security modules that are in use, if that is known
}

// describe returns a sentence.
func (m *machine) describe() string {
	all := []string{m.System, fmt.Sprintf("user %d", m.UID)}
	if m.OnlyLinux {
		return strings.Join(all, ", ")
	}
	switch b := m.Bubblewrap; {
	case b == nil:
		all = append(all, "no bubblewrap")
	default:
		all = append(all, strings.TrimRight("bubblewrap "+b.Version, " ")+" ("+b.Path+")")
	}
	if m.Landlock.ABI > 0 {
		all = append(all, fmt.Sprintf("Landlock ABI %d", m.Landlock.ABI))
	} else {
		all = append(all, "no Landlock")
	}
	if m.Container != "" {
		all = append(all, "container "+m.Container)
	}
	if m.Unit != "" {
		all = append(all, "unit "+m.Unit)
	}
	return strings.Join(all, ", ")
}
