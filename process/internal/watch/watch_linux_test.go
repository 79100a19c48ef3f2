package watch

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

func always(int) (bool, error) { return true, nil }

func TestMemberWatchesTheOldest(t *testing.T) {
	older, younger := exec.Command("sleep", "60"), exec.Command("sleep", "60")
	if err := older.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // start times have a resolution of 10 ms
	if err := younger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = younger.Process.Kill(); _ = younger.Wait() }()
	w := Member([]int{younger.Process.Pid, older.Process.Pid}, always)
	if w == nil {
		t.Fatal("no process is watched")
	}
	done := make(chan struct{})
	go func() {
		w.Wait(context.Background())
		close(done)
	}()
	_ = older.Process.Kill()
	_ = older.Wait()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("Wait does not return after the exit of the oldest process")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	w := Member([]int{cmd.Process.Pid}, always)
	if w == nil {
		t.Fatal("no process is watched")
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	w.Wait(ctx)
	if ctx.Err() == nil {
		t.Error("Wait returns while the process runs")
	}
}

func TestMemberOfNoProcess(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	none := func(int) (bool, error) { return false, nil }
	if Member(nil, always) != nil || Member([]int{cmd.Process.Pid}, always) != nil || Member([]int{1}, none) != nil {
		t.Error("a process is watched that is no member")
	}
}
