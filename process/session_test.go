//go:build linux

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// everyContainment runs f under a Host of each containment that this machine has.
func everyContainment(t *testing.T, f func(t *testing.T, h *Host)) {
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		t.Run(string(kind), func(t *testing.T) {
			h, err := Open(Options{Containment: kind})
			if err != nil {
				skipUnlessRequired(t, kind, err)
			}
			defer func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}()
			f(t, h)
		})
	}
}

func TestCommandLeadsASession(t *testing.T) {
	everyContainment(t, func(t *testing.T, h *Host) {
		for name, limits := range map[string]Limits{"plain": nil, "limited": {OpenFiles: 100}} {
			spec := sh(`ps -o sid=,pgid=,tty= -p $$; : </dev/tty`)
			spec.Limits = limits
			p, err := h.Start(spec)
			if err != nil {
				t.Fatal(err)
			}
			out, _ := readAll(p.Stdout())
			failure, _ := readAll(p.Stderr())
			pid := strconv.Itoa(p.PID())
			if got := strings.Fields(out); len(got) != 3 || got[0] != pid || got[1] != pid || got[2] != "?" {
				t.Errorf("%s: session, group, terminal of %s: %v", name, pid, got)
			}
			if !strings.Contains(failure, "No such device or address") { // ENXIO
				t.Errorf("%s: opening /dev/tty: %q", name, failure)
			}
			finish(p)
		}
	})
}

// TestJobControlDoesNotStopACommand checks that a stop signal of a terminal does not stop a command
// (POSIX: an orphaned process group), and that SIGSTOP does.
func TestJobControlDoesNotStopACommand(t *testing.T) {
	p := mustStart(t, sh("trap 'echo woken' USR1; echo ready; while :; do sleep 60 & wait; done"), leader.System())
	readUntil(t, p.Stdout(), "ready\n")
	for _, sig := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR1} {
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	readUntil(t, p.Stdout(), "woken\n")
	_ = p.Pause()
	if !poll(func() bool { return state(p.PID()) == 'T' }) {
		t.Error("SIGSTOP does not stop the command")
	}
}

// TestAutogroupIsInherited runs itself in a session whose autogroup has a nice value.
func TestAutogroupIsInherited(t *testing.T) {
	const variable = "RUNNEL_TEST_AUTOGROUP"
	if _, err := os.Stat("/proc/self/autogroup"); err != nil {
		t.Skipf("SKIPPED, this kernel has no autogroups: %v", err)
	}
	if os.Getenv(variable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAutogroupIsInherited$")
		cmd.Env = append(os.Environ(), variable+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	if err := os.WriteFile("/proc/self/autogroup", []byte("7"), 0); err != nil {
		t.Fatal(err)
	}
	everyContainment(t, func(t *testing.T, h *Host) {
		p, err := h.Start(sh("exec sleep 600"))
		if err != nil {
			t.Fatal(err)
		}
		p.Adjust()
		defer finish(p)
		var got []byte
		if !poll(func() bool {
			got, _ = os.ReadFile(filepath.Join("/proc", fmt.Sprint(p.PID()), "autogroup"))
			return strings.HasSuffix(string(got), " nice 7\n")
		}) {
			t.Errorf("%q", got)
		}
	})
}
