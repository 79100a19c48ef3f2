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

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// TestCommandsGetOOMScore checks that a command and the descendants that it has forked already get
// the score, so that the kernel kills them before the server, and that the score is never lowered.
func TestCommandsGetOOMScore(t *testing.T) {
	own, err := procfs.OwnOOMScoreAdj()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		for name, score := range map[string]int{"higher": own + 3, "equal": own, "lower": own - 1} {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				h, err := Open(Options{Containment: kind, OOMScoreAdj: score})
				if err != nil {
					skipUnlessRequired(t, kind, err)
				}
				defer h.Close()
				p, err := h.Start(sh("sleep 600 & (sleep 600; :) & (sleep 600 & sleep 600; :) & echo ready; exec sleep 600"))
				if err != nil {
					t.Fatal(err)
				}
				p.Adjust()
				defer finish(p)
				readUntil(t, p.Stdout(), "ready\n")
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
					t.Errorf("scores %v, want %d each", got, max(score, own))
				}
				if now, _ := procfs.OwnOOMScoreAdj(); now != own {
					t.Errorf("the score of the server changed to %d", now)
				}
			})
		}
	}
}

// TestProcessesAreReserved runs itself as a user to whom RLIMIT_NPROC applies, and checks that the
// limit of commands is lower than that of the server.
func TestProcessesAreReserved(t *testing.T) {
	if os.Geteuid() == 0 {
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
			t.Errorf("%s: limit %+v, want 4968 and 6000", kind, got)
		}
		finish(p)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// asNobody runs the test again as an unprivileged user.
func asNobody(t *testing.T, env ...string) {
	t.Helper()
	runAsNobody(t, ownCopy(t), env...)
}

// ownCopy returns a copy of this program that every user may execute. No other test may start a
// process meanwhile: a child that has the copy open for writing until its exec prevents the
// execution of the copy (ETXTBSY, execve(2)).
func ownCopy(t *testing.T) string {
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
	return binary
}

func runAsNobody(t *testing.T, binary string, env ...string) {
	t.Helper()
	cmd := exec.Command(binary, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env, cmd.Dir = append([]string{"PATH=/usr/bin:/bin", "HOME=/"}, env...), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
