//go:build linux

package inputwait

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestScanIsBounded checks how many children of a process are scanned.
func TestScanIsBounded(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s := scan{input: Input{link: "none"}, threads: maxThreads}
	if s.process(cmd.Process.Pid) || len(s.children) != maxProcesses {
		t.Errorf("%d children are scanned, want %d", len(s.children), maxProcesses)
	}
	if Scan([]int{cmd.Process.Pid}, Input{link: "none"}) {
		t.Error("Scan found an input that does not exist")
	}
}

// TestScanFindsReader checks a reader of a pipe, and that the other end of the pipe is not confused
// with another pipe.
func TestScanFindsReader(t *testing.T) {
	if inputCalls == nil {
		t.Skip("NOT TESTED: the system calls of this architecture are not known")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command("cat")
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	in, err := Pipe(int(r.Fd()))
	_ = r.Close()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !Scan([]int{cmd.Process.Pid}, in); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("cat is not found to wait for its input")
		}
	}
	if Scan([]int{cmd.Process.Pid}, Input{link: "pipe:[0]"}) {
		t.Error("cat is found to wait for another pipe")
	}
}
