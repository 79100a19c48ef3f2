//go:build linux

package procfs

import (
	"os/exec"
	"testing"
)

func TestOOMScoreAdj(t *testing.T) {
	own, err := OwnOOMScoreAdj()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	pid := cmd.Process.Pid
	want := func(score int, after string) {
		t.Helper()
		if got, err := OOMScoreAdj(pid); got != score || err != nil {
			t.Errorf("OOMScoreAdj = %d, %v after %s, want %d", got, err, after, score)
		}
	}
	yes := func() bool { return true }
	want(own, "the start")
	if err := RaiseOOMScoreAdj(pid, own+2, func() bool { return false }); err != nil {
		t.Error(err)
	}
	want(own, "RaiseOOMScoreAdj of a process that is no member")
	if err := RaiseOOMScoreAdj(pid, own+2, yes); err != nil {
		t.Error(err)
	}
	want(own+2, "RaiseOOMScoreAdj")
	if err := RaiseOOMScoreAdj(pid, own+1, yes); err != nil {
		t.Error(err)
	}
	want(own+2, "RaiseOOMScoreAdj to a lower value")
	if err := SetOOMScoreAdj(pid, own+3); err != nil {
		t.Error(err)
	}
	want(own+3, "SetOOMScoreAdj")
	if err := RaiseOOMScoreAdj(1<<22+1, own, yes); err == nil {
		t.Error("RaiseOOMScoreAdj of a process that does not exist returns no error")
	}
}
