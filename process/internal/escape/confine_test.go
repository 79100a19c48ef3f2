//go:build linux

package escape

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/landlock"
	"github.com/runnel-rpc/runnel/process/internal/seccomp"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// restriction is what a command restricts itself to in confineMode.
type restriction struct {
	Landlock bool
	Inside   bool // of the namespaces of bwrap
	Config   *sandbox.Config
	Env      []string // of the command
}

const restrictionVariable = "ESCAPE_RESTRICTION"

// confined makes a command restrict itself before it starts. Its environment is given to it only.
func confined(t testing.TB, w *world, c command, r restriction) command {
	t.Helper()
	r.Config, r.Env = w.config, c.env
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	c.argv = append([]string{program, confineMode}, c.argv...)
	c.env = []string{restrictionVariable + "=" + string(text)}
	return c
}

// lacks says why this machine has no such restriction, "" if it has.
func (r restriction) lacks() string {
	switch {
	case seccomp.WhyNot() != "":
		return seccomp.WhyNot()
	case r.Landlock && r.Inside && !landlock.InsideSupported():
		return "no Landlock"
	case r.Landlock && !r.Inside:
		return landlock.Support().Why[sandbox.FilesPart]
	}
	return ""
}

// confine restricts this process and executes a command.
func confine(argv []string) {
	r := &restriction{}
	err := json.Unmarshal([]byte(os.Getenv(restrictionVariable)), r)
	if err == nil {
		err = r.apply()
	}
	var name string
	if err == nil {
		name, err = exec.LookPath(argv[0])
	}
	if err == nil {
		err = unix.Exec(name, argv, append(r.Env, environment()...))
	}
	exitWith(fmt.Errorf("%s%w", startFailed, err))
}

// apply restricts the thread, which the command will have.
func (r *restriction) apply() error {
	ruleset := -1
	if r.Landlock {
		var err error
		if ruleset, err = landlock.Ruleset(r.Config, landlock.Options{Inside: r.Inside}); err != nil {
			return err
		}
		if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
			if err := landlock.AllowTerminal(ruleset, 0); err != nil {
				return err
			}
		}
	}
	err := errors.Join(
		unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}),
		dropCapabilities(),
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if err != nil {
		return err
	}
	if ruleset >= 0 {
		if errno := landlock.Restrict(ruleset); errno != 0 {
			return errno
		}
	}
	filter := seccomp.Filter(seccomp.Options{
		Network: r.Config.Network.Mode, OwnNetwork: r.Inside, OwnProcesses: r.Inside, Landlock: r.Landlock,
		UnixSockets: r.Config.UnixSockets, RefuseBareOpen: r.Landlock && !r.Inside && landlock.BareOpen(),
	})
	if errno := seccomp.Install(filter); errno != 0 {
		return errno
	}
	return nil
}

// dropCapabilities drops all capabilities of the thread.
func dropCapabilities() error {
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && err != unix.EPERM {
			return err
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}
