package bubblewrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// enterVariable makes this program enter the namespaces of the pidfd that is its descriptor 3, with
// the flags that are its value, and execute its arguments there, with the Landlock ruleset that is
// its descriptor 4, if there is one.
const enterVariable = "RUNNEL_TEST_ENTER"

// enterFailed is the exit status of a process that cannot enter.
const enterFailed = 120

// command returns a command that runs inside, without capabilities.
func (n *Namespaces) command(t testing.TB, flags int, argv ...string) *exec.Cmd {
	t.Helper()
	file := os.NewFile(duplicate(t, n.PIDFD), "pidfd")
	t.Cleanup(func() { _ = file.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), proctest.Patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", argv...)
	cmd.WaitDelay = time.Second // the process inside has the pipes too
	cmd.Env = []string{enterVariable + "=" + strconv.Itoa(flags), "PATH=/usr/bin:/bin"}
	cmd.ExtraFiles = []*os.File{file}
	if n.Ruleset >= 0 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(duplicate(t, n.Ruleset), "ruleset"))
		t.Cleanup(func() { _ = cmd.ExtraFiles[1].Close() })
	}
	return cmd
}

func duplicate(t testing.TB, fd int) uintptr {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(fd)
}

// sh runs a shell script inside and returns what it prints. Its exit status has to be 0.
func (n *Namespaces) sh(t testing.TB, script string) string {
	t.Helper()
	cmd := n.command(t, n.Flags, "/bin/sh", "-c", script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s%s", script, err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// enters returns the error of setns(2).
func (n *Namespaces) enters(t testing.TB, flags int) error {
	t.Helper()
	err := n.command(t, flags, "/bin/true").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > enterFailed {
		return syscall.Errno(exit.ExitCode() - enterFailed)
	}
	return err
}

func runEntrant(value string) {
	flags, _ := strconv.Atoi(value)
	argv, _ := syscall.SlicePtrFromStrings(os.Args[1:])
	env, _ := syscall.SlicePtrFromStrings([]string{"PATH=/usr/bin:/bin"})
	pid := forkEntrant(uintptr(flags), argv, env)
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if status.Signaled() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	exitRaw(uintptr(status.ExitStatus())) // os.Exit of a program with the race detector takes a second
}

// forkEntrant forks a process that enters and forks the command.
//
//go:norace
//go:nosplit
func forkEntrant(flags uintptr, argv, env []*byte) int {
	pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid != 0 {
		return int(pid)
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETNS, 3, flags, 0); errno != 0 {
		exitRaw(enterFailed + uintptr(errno))
	}
	pid, _, _ = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 {
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
		_, _, _ = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&none[0])), 0)
		_, _, _ = syscall.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, 4, 0, 0) // fails without a ruleset
		_, _, errno := syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(argv[0])), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
		exitRaw(uintptr(errno))
	}
	var status uint32
	_, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, pid, uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
	if errno != 0 {
		exitRaw(1)
	}
	if status&0x7f != 0 {
		exitRaw(119)
	}
	exitRaw(uintptr(status >> 8 & 0xff))
	return 0
}

//go:norace
//go:nosplit
func exitRaw(code uintptr) {
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
	}
}

// holderOf returns the process id of a pidfd, 0 if the process has exited (pidfd_open(2)).
func holderOf(pidfd int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(value))
			return max(pid, 0)
		}
	}
	return 0
}

// serverVariable makes this program start a sandbox, print the ids of bwrap and the holder, and wait
// until it is killed.
const serverVariable = "RUNNEL_TEST_SERVER"

func runServer() {
	c := everything(os.Geteuid() != 0)
	var err error
	if c.Program, err = OpenProgram(os.Getenv(serverVariable)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	n, err := Start(context.Background(), c, noMarks)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(n.bwrap.PID, holderOf(n.PIDFD))
	time.Sleep(proctest.Patience)
	os.Exit(0)
}
