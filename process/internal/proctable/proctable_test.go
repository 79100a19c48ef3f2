//go:build linux

package proctable

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestSignalChecksIdentity checks that Signal does not signal another process with the same id, nor
// one that is no member.
func TestSignalChecksIdentity(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	pid := cmd.Process.Pid
	all, err := SessionMembers(pid)
	if err != nil || len(all) != 1 || all[0] != (Entry{pid, os.Getpid(), pid, pid, StartTime(pid), false}) {
		t.Fatalf("SessionMembers = %+v, %v", all, err)
	}
	inSession := func(sid int) func(Entry) (bool, error) {
		return func(now Entry) (bool, error) { return now.Session == sid, nil }
	}
	if err := Signal(all[0], 0, inSession(pid)); err != nil {
		t.Error(err)
	}
	later := all[0]
	later.Start++
	if err := Signal(later, syscall.SIGKILL, inSession(pid)); err != syscall.ESRCH {
		t.Errorf("another start time: %v, want ESRCH", err)
	}
	if err := Signal(all[0], syscall.SIGKILL, inSession(pid+1)); err != syscall.ESRCH {
		t.Errorf("another session: %v, want ESRCH", err)
	}
	if _, alive, err := LookupAlive(pid); !alive || err != nil {
		t.Errorf("the process was killed: %v", err)
	}
}
