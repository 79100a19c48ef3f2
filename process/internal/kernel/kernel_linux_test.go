package kernel

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const inFilter = "RUNNEL_TEST_IN_FILTER"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(inFilter) != "" {
		refuse(unix.SYS_UNSHARE, unix.SYS_MOUNT)
		fmt.Println(facts())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// refuse installs a filter that refuses two system calls with EPERM.
func refuse(one, other uint32) {
	const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: one, Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: other, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: refused},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	if err != nil {
		fmt.Println(err)
	}
}

func facts() string {
	return fmt.Sprint(Filtered(), RefusesNamespaces(), RefusesMounts(), Absent("x(2)", 3, 0))
}

func TestFilter(t *testing.T) {
	if Filtered() {
		t.Skip("a filter applies to this test")
	}
	if got := facts(); got != "false false falsethis kernel has no x(2)" {
		t.Error(got)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), inFilter+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "true true truea seccomp filter hides x(2)") {
		t.Errorf("%v: %s", err, out)
	}
	if got := Absent("x(2)", 99, 1); got != "the kernel is older than Linux 99.1, which has x(2)" {
		t.Error(got)
	}
}

func TestRelease(t *testing.T) {
	for release, want := range map[string]bool{"5.8.0": true, "5.10.1-x": true, "6.1": true, "5.7.99": false, "4.19.0": false, "5.8-rc1": true, "x": true} {
		if releaseAtLeast(release, 5, 8) != want {
			t.Error(release)
		}
	}
}
