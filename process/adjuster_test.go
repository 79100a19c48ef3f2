//go:build linux

package process

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// A command and what it had forked by then are killed before the server when memory is exhausted, and never after it.
func TestCommandsGetAScore(t *testing.T) {
	own, err := procfs.OwnOOMScoreAdj()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		for name, score := range map[string]int{"higher": own + 3, "as it is": own, "lower": own - 1} {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				h, err := Open(Options{Containment: kind, OOMScoreAdj: score})
				if err != nil {
					t.Skipf("SKIPPED, this machine does not have it: %v", err)
				}
				defer h.Close()
				p, err := h.Start(sh("sleep 600 & (sleep 600; :) & (sleep 600 & sleep 600; :) & echo ready; exec sleep 600"))
				if err != nil {
					t.Fatal(err)
				}
				p.Adjust()
				defer finish(p)
				wants(t, p.Stdout(), "ready\n")
				var got []int
				all := func() bool {
					pids, err := proctable.GroupMembers(p.PGID())
					got = nil
					for _, pid := range pids {
						n, _ := procfs.OOMScoreAdj(pid)
						if got = append(got, n); n != max(score, own) {
							return false
						}
					}
					return err == nil && len(pids) == 7
				}
				if !poll(all) {
					t.Errorf("scores %v, want %d", got, max(score, own))
				}
				if now, _ := procfs.OwnOOMScoreAdj(); now != own {
					t.Errorf("that of the server became %d", now)
				}
			})
		}
	}
}

// A process that is not of the tree keeps its score.
func TestStrangersKeepTheirScore(t *testing.T) {
	own, _ := procfs.OwnOOMScoreAdj()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	a := &adjuster{adjustment: adjustment{oomScore: own + 3}}
	procfs.RaiseOOMScoreAdj(cmd.Process.Pid, a.oomScore, func() bool { return false })
	if got, _ := procfs.OOMScoreAdj(cmd.Process.Pid); got != own {
		t.Errorf("%d, was %d", got, own)
	}
	p := mustStart(t, sh("exit 0"), leader.System())
	_ = p.WaitExit()
	_, _ = p.Reap()
	p.leader.PID = cmd.Process.Pid // as if its number had been used again
	a.adjustLeader(p)
	a.adjustDescendants(p)
	if got, _ := procfs.OOMScoreAdj(cmd.Process.Pid); got != own {
		t.Errorf("after the reap: %d, was %d", got, own)
	}
}

// TestUsersProcessesAreReserved runs itself as a user whom RLIMIT_NPROC bounds: commands get less than the server has.
func TestUsersProcessesAreReserved(t *testing.T) {
	if os.Geteuid() == 0 {
		if a := newAdjustment(&Options{ReserveProcesses: 32}); a.processes != nil {
			t.Error("RLIMIT_NPROC does not bound root")
		}
		asNobody(t)
		return
	}
	limit := unix.Rlimit{Cur: 5000, Max: 6000}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Containment{Marker, Group} {
		h, err := Open(Options{Containment: kind, ReserveProcesses: 32})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.Start(sh("exec sleep 600"))
		if err != nil {
			t.Fatal(err)
		}
		p.Adjust()
		var got unix.Rlimit
		if !poll(func() bool {
			return unix.Prlimit(p.PID(), unix.RLIMIT_NPROC, nil, &got) == nil && got == unix.Rlimit{Cur: 4968, Max: 6000}
		}) {
			t.Errorf("%s: %+v", kind, got)
		}
		finish(p)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := withoutReserve(10, 32); got != 1 {
		t.Errorf("%d", got)
	}
}

// asNobody runs the test again as a user without rights.
func asNobody(t *testing.T, env ...string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "test")
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(binary, text, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env, cmd.Dir = append([]string{"PATH=/usr/bin:/bin", "HOME=/"}, env...), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
