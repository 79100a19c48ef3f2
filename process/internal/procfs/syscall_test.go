//go:build linux

package procfs

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSyscall(t *testing.T) {
	call, args, ok := parseSyscall("0 0x3 0x7ffd 0x1000 0x0 0x0 0xffffffffffffffff 0x7ffc 0x7f00\n")
	if !ok || call != 0 || args != [6]uint64{3, 0x7ffd, 0x1000, 0, 0, 1<<64 - 1} {
		t.Errorf("%d, %#x, %v", call, args, ok)
	}
	for _, line := range []string{"", "running\n", "-1 0x7ffc 0x7f00\n", "0 0x3 x 0 0 0 0 0 0\n"} {
		if call, args, ok := parseSyscall(line); ok {
			t.Errorf("parseSyscall(%q) = %d, %#x", line, call, args)
		}
	}
}

func TestFDLinkAndEpollTargets(t *testing.T) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd := int(r.Fd())
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		t.Fatal(err)
	}
	targets := EpollTargets(os.Getpid(), uint64(epoll), 10)
	if len(targets) != 1 || targets[0].FD != uint64(fd) || targets[0].Events&unix.EPOLLIN == 0 {
		t.Errorf("EpollTargets = %+v, want descriptor %d", targets, fd)
	}
	if got := EpollTargets(os.Getpid(), uint64(fd), 10); got != nil {
		t.Errorf("EpollTargets of a pipe = %+v", got)
	}
	var st unix.Stat_t
	_ = unix.Fstat(fd, &st)
	if link, err := FDLink(os.Getpid(), uint64(fd)); link != fmt.Sprintf("pipe:[%d]", st.Ino) || err != nil {
		t.Errorf("FDLink = %q, %v", link, err)
	}
}

func TestThreads(t *testing.T) {
	if tids := Threads(os.Getpid(), 10000); !slices.Contains(tids, os.Getpid()) {
		t.Errorf("Threads = %v, want %d among them", tids, os.Getpid())
	}
	if tids := Threads(os.Getpid(), 1); len(tids) != 1 {
		t.Errorf("Threads = %v, want one", tids)
	}
}
