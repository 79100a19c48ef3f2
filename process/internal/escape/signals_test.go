//go:build linux

package escape

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onVictim is an attempt on the victim that only a sandbox with processes of its own refuses.
func onVictim(name string, try func(w *world, pid int) error, escaped func(*world, string) bool) attempt {
	return attempt{name: name, part: processes, prepare: withVictim, escaped: escaped,
		try: func(w *world) error { return try(w, w.Num["victim"]) }}
}

// signalAttempts signal processes outside, and change what the scheduler and limits do with them.
func signalAttempts() []attempt {
	list := []attempt{
		onVictim("kill a process", func(_ *world, pid int) error { return unix.Kill(pid, unix.SIGKILL) }, killed),
		onVictim("signal a process group", func(_ *world, pid int) error { return unix.Kill(-pid, unix.SIGTERM) }, killed),
		onVictim("signal a thread", func(_ *world, pid int) error { return unix.Tgkill(pid, pid, unix.SIGTERM) }, killed),
		onVictim("signal by tkill", func(_ *world, pid int) error {
			return sys(unix.SYS_TKILL, uintptr(pid), uintptr(unix.SIGTERM)).try()
		}, killed),
		onVictim("queue a signal", func(_ *world, pid int) error {
			info := [128]byte{0: byte(unix.SIGTERM), 8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff} // si_code SI_QUEUE
			return sys(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(unix.SIGTERM), pointer(&info)).try()
		}, killed),
		onVictim("signal by a pidfd", func(_ *world, pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			return unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
		}, killed),
		onVictim("signal by the owner of a descriptor", signalByOwner, killed),
		onVictim("test for a process", func(_ *world, pid int) error { return unix.Kill(pid, 0) }, nil),
		onVictim("raise the nice value", func(_ *world, pid int) error { return unix.Setpriority(unix.PRIO_PROCESS, pid, 7) },
			func(w *world, _ string) bool {
				priority, err := unix.Getpriority(unix.PRIO_PROCESS, w.Num["victim"])
				return err == nil && priority == 20-7
			}),
		onVictim("change the priority of input and output", func(_ *world, pid int) error {
			const idle = 3 << 13
			return sys(unix.SYS_IOPRIO_SET, 1, uintptr(pid), idle).try()
		}, nil),
		onVictim("change the processors", func(_ *world, pid int) error {
			var set unix.CPUSet
			if err := unix.SchedGetaffinity(pid, &set); err != nil {
				return err
			}
			return unix.SchedSetaffinity(pid, &set)
		}, nil),
		onVictim("change the scheduling policy", func(_ *world, pid int) error {
			const batch = 3
			var priority int32
			return sys(unix.SYS_SCHED_SETSCHEDULER, uintptr(pid), batch, pointer(&priority)).try()
		}, nil),
		onVictim("change a limit", func(_ *world, pid int) error {
			return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 5, Max: 5}, nil)
		}, func(w *world, _ string) bool {
			text, _ := os.ReadFile(w.ofVictim("limits"))
			return regexp.MustCompile(`(?m)^Max open files +5 +5 `).Match(text)
		}),
		onVictim("read a limit", func(_ *world, pid int) error {
			return unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{})
		}, nil),
		onVictim("ask for the session", func(_ *world, pid int) error {
			_, err := unix.Getsid(pid)
			return err
		}, nil),
		{name: "signal all processes", part: processes, user: true, prepare: withVictim, escaped: killed,
			try: func(*world) error { return unix.Kill(-1, unix.SIGTERM) }},
		{name: "raise the nice value of all processes of the user", part: processes, user: true, prepare: withVictim,
			try: func(*world) error { return unix.Setpriority(unix.PRIO_USER, os.Getuid(), 7) },
			escaped: func(w *world, _ string) bool {
				priority, err := unix.Getpriority(unix.PRIO_PROCESS, w.Num["victim"])
				return err == nil && priority == 20-7
			}},
	}
	return list
}

// signalByOwner lets the kernel send a signal when a pipe becomes readable (fcntl(2), F_SETOWN).
func signalByOwner(_ *world, pid int) error {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	for _, set := range [][2]int{{unix.F_SETOWN, pid}, {unix.F_SETSIG, int(unix.SIGTERM)}, {unix.F_SETFL, unix.O_ASYNC}} {
		if _, err := unix.FcntlInt(uintptr(p[0]), set[0], set[1]); err != nil {
			return err
		}
	}
	_, err := unix.Write(p[1], []byte("x"))
	return err
}

// inspectAttempts look into processes outside, and change their memory, which no sandbox permits.
func inspectAttempts() []attempt {
	inspect := func(name string, escaped func(*world, string) bool, try func(w *world, pid int) error) attempt {
		a := onVictim(name, try, escaped)
		a.part, a.maybe = always, "permission to "+name
		return a
	}
	list := []attempt{
		inspect("trace a process", leaked, traceVictim),
		inspect("read memory", leaked, func(w *world, pid int) error {
			buf := make([]byte, 40)
			local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
			_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(w.Num["environ"]), Len: len(buf)}}, 0)
			_, _ = os.Stdout.Write(buf)
			return err
		}),
		inspect("write memory", damaged, func(w *world, pid int) error {
			buf := []byte("escaped")
			local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
			_, err := unix.ProcessVMWritev(pid, local, []unix.RemoteIovec{{Base: uintptr(w.Num["environ"]), Len: len(buf)}}, 0)
			return err
		}),
		inspect("take a descriptor", leaked, func(_ *world, pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			if fd, err = unix.PidfdGetfd(fd, 4, 0); err != nil {
				return err
			}
			buf := make([]byte, 64)
			n, err := unix.Pread(fd, buf, 0)
			_, _ = os.Stdout.Write(buf[:max(n, 0)])
			return err
		}),
		inspect("compare resources", nil, func(_ *world, pid int) error {
			return sys(unix.SYS_KCMP, uintptr(pid), uintptr(os.Getpid()), 1).try()
		}),
		inspect("find the robust futexes", nil, func(_ *world, pid int) error {
			var head, size uintptr
			return sys(unix.SYS_GET_ROBUST_LIST, uintptr(pid), pointer(&head), pointer(&size)).try()
		}),
		inspect("ask for the place of pages", nil, func(w *world, pid int) error {
			page := uintptr(w.Num["environ"]) &^ 0xfff
			var status int32
			return sys(unix.SYS_MOVE_PAGES, uintptr(pid), 1, pointer(&page), 0, pointer(&status), 0).try()
		}),
		asRoot(inspect("advise on memory", nil, func(w *world, pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			vector := unix.RemoteIovec{Base: uintptr(w.Num["environ"]) &^ 0xfff, Len: 4096}
			const cold = 20
			return sys(unix.SYS_PROCESS_MADVISE, uintptr(fd), pointer(&vector), 1, cold, 0).try()
		})),
		inspect("count events", nil, func(_ *world, pid int) error { return openCounter(pid) }),
		{name: "look into process 1", part: holder, inside: true, try: func(*world) error {
			_, err := os.Readlink("/proc/1/root")
			_, inEnviron := os.ReadFile("/proc/1/environ")
			return either(err, inEnviron, unix.PtraceSeize(1))
		}},
		{name: "reach the descriptors of process 1", part: holder, inside: true, try: func(*world) error {
			list := []error{errors.New("there is none")}
			for fd := range 32 {
				_, err := os.Readlink(fmt.Sprintf("/proc/1/fd/%d", fd))
				list = append(list, err)
			}
			return either(list...)
		}},
		{name: "take a descriptor of process 1", part: holder, inside: true, try: func(*world) error {
			fd, err := unix.PidfdOpen(1, 0)
			if err != nil {
				return err
			}
			list := []error{errors.New("there is none")}
			for n := range 32 {
				_, err := unix.PidfdGetfd(fd, n, 0)
				list = append(list, err)
			}
			return either(list...)
		}},
		{name: "kill process 1", part: holder, inside: true, prepare: withNamespace, try: func(w *world) error {
			if space, err := os.Readlink("/proc/self/ns/pid"); err != nil || space == w.Str["pid namespace"] {
				return errors.New("it is not that of a sandbox")
			}
			for signal := unix.Signal(1); signal <= 64; signal++ {
				_ = unix.Kill(1, signal)
			}
			return errors.New("it lives") // otherwise this process would not
		}},
	}
	return list
}

// withNamespace notes the PID namespace of the host.
func withNamespace(t testing.TB, w *world) {
	t.Helper()
	var err error
	if w.Str["pid namespace"], err = os.Readlink("/proc/self/ns/pid"); err != nil {
		t.Fatal(err)
	}
}

// asRoot makes an attempt one that succeeds for root only.
func asRoot(a attempt) attempt {
	a.root = true
	return a
}

// traceVictim reads the secret of the victim by ptrace(2).
func traceVictim(w *world, pid int) error {
	const seize, interrupt = 0x4206, 0x4207
	if err := sys(unix.SYS_PTRACE, seize, uintptr(pid)).try(); err != nil {
		return err
	}
	if err := sys(unix.SYS_PTRACE, interrupt, uintptr(pid)).try(); err != nil {
		return err
	}
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return err
	}
	text := make([]byte, 40)
	if _, err := unix.PtracePeekData(pid, uintptr(w.Num["environ"]), text); err != nil {
		return err
	}
	fmt.Println(strings.ToValidUTF8(string(text), "?"))
	return nil
}

// openCounter counts an event of the software in a process (perf_event_open(2)).
func openCounter(pid int) error {
	attr := &unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Size: unix.PERF_ATTR_SIZE_VER1,
		Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	_, err := unix.PerfEventOpen(attr, pid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	return err
}
