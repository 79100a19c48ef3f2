package spawn

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/runas"
)

// Command is a program to start: the arguments of syscall.ForkExec, and what the program gets at
// the start gate.
type Command struct {
	Path  string
	Argv  []string
	Attr  *syscall.ProcAttr
	Setup *Setup // nil for a start without a gate
	// Opened, if not nil, makes the exec step execute the program and enter the directory by
	// descriptors. Path is then only shown in the process table until the exec.
	Opened *Opened
}

// Opened are the descriptors of a start, and the user as whom the program is executed.
type Opened struct {
	Dir, Program int
	User         *runas.User // nil for the one of this process
}

// Setup is what a process gets at the start gate. The zero value changes nothing.
type Setup struct {
	Enter    func(pid int) error // called first, to add the process to cgroups; nil for nothing
	Hard     map[int]unix.Rlimit // soft and hard limits, by resource of setrlimit(2)
	Soft     map[int]uint64      // soft limits, by resource; a value above the hard limit counts as the hard limit
	Umask    *int                // 0 to 0777
	Nice     *int                // -20 to 19
	Untraced bool                // the program is not started as a tracee
	// NoNewPrivileges sets no_new_privs (PR_SET_NO_NEW_PRIVS).
	NoNewPrivileges bool
	// Sandbox, if not nil, is applied after everything else. It requires Command.Opened.
	Sandbox *Sandbox
}

// NeedsStep reports whether the setup needs the exec step. Without Untraced it does for three parts:
// only a process itself can set its umask and no_new_privs, and the exec places the stack by its
// soft limit.
func (s *Setup) NeedsStep() bool {
	_, stack := s.Soft[unix.RLIMIT_STACK]
	return s.Untraced || s.Umask != nil || stack || s.NoNewPrivileges || s.Sandbox != nil
}
