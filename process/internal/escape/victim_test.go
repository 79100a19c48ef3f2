//go:build linux

package escape

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// victim is a process outside of the sandbox that has the same user as the command. It repeats what
// it reads. Its environment has the secret, its working directory is w.Outside, its descriptor 3 is
// outside/file, which it may change, and 4 is hidden/secret.
type victim struct {
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
}

// withVictim starts the victim. w.Num has its pid and the address of its environment.
func withVictim(t testing.TB, w *world) {
	t.Helper()
	v := &victim{}
	err := v.start(w)
	if err != nil {
		t.Fatal(err)
	}
	w.victim = v
	w.Num["victim"] = v.cmd.Process.Pid
	w.cleanup(v.end)
	if !v.alive() {
		t.Fatal("the victim does not answer")
	}
	if w.Num["environ"], err = v.environAddress(); err != nil {
		t.Fatal(err)
	}
}

func (v *victim) start(w *world) error {
	file, err := os.OpenFile(w.Outside+"/file", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	secret, err := os.Open(w.Hidden + "/secret")
	if err != nil {
		return err
	}
	defer secret.Close()
	input, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	stdout, output, err := os.Pipe()
	if err != nil {
		return err
	}
	defer output.Close()
	v.cmd = exec.Command("cat")
	v.cmd.Stdin, v.cmd.Stdout, v.cmd.ExtraFiles = input, output, []*os.File{file, secret}
	v.cmd.Dir, v.cmd.Env = w.Outside, []string{"SECRET=" + w.secret}
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	asUser(v.cmd.SysProcAttr, w.uid)
	v.stdin, v.stdout = stdin, stdout
	return v.cmd.Start()
}

// asUser makes a process of root belong to a user.
func asUser(attr *syscall.SysProcAttr, uid int) {
	if os.Geteuid() == 0 && uid != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
}

// alive reports whether the victim answers. A signal that was sent before takes effect first.
func (v *victim) alive() bool {
	_ = v.stdout.SetReadDeadline(time.Now().Add(proctest.Patience))
	if _, err := v.stdin.WriteString("?\n"); err != nil {
		return false
	}
	answer := make([]byte, 2)
	_, err := io.ReadFull(v.stdout, answer)
	return err == nil
}

func (v *victim) end() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
	_, _ = v.stdin.Close(), v.stdout.Close()
}

// environAddress is where the environment is in the memory of the victim (proc_pid_stat(5)).
func (v *victim) environAddress() (int, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	return strconv.Atoi(fields[50-3])
}

// secretInMemory reads the environment of the victim where it was at the start.
func (v *victim) secretInMemory(w *world) string {
	buf := make([]byte, len("SECRET="+w.secret))
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(w.Num["environ"]), Len: len(buf)}}
	_, _ = unix.ProcessVMReadv(v.cmd.Process.Pid, local, remote, 0)
	return string(buf)
}

// killed reports whether the victim has ended or stopped.
func killed(w *world, _ string) bool { return !w.victim.alive() }

// damaged reports whether the memory of the victim has changed.
func damaged(w *world, _ string) bool { return w.victim.secretInMemory(w) != "SECRET="+w.secret }
