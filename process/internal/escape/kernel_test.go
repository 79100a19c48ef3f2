//go:build linux

package escape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// kernelAttempts reach parts of the kernel that no ordinary program needs.
func kernelAttempts() []attempt {
	harmless := func(name string, root bool, c func() call, because ...syscall.Errno) attempt {
		return attempt{name: name, part: always, root: root, maybe: "system call: " + name,
			try: func(*world) error { return reached(c().try(), because...) }}
	}
	uts := func(name string, number uintptr, get func(*unix.Utsname) []byte) attempt {
		return attempt{name: name, part: always, root: true, try: func(w *world) error {
			var names unix.Utsname
			if err := unix.Uname(&names); err != nil {
				return err
			}
			value := get(&names)
			return sys(number, buffer(value), uintptr(len(unix.ByteSliceToString(value)))).try()
		}}
	}
	return []attempt{
		{name: "read a key of the user", part: always, maybe: "keyrings", prepare: withKey, escaped: leaked, try: readKey},
		{name: "add a key", part: always, maybe: "keyrings", try: func(*world) error {
			_, err := unix.AddKey("user", "escape", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
			return err
		}},
		{name: "join a session keyring", part: always, maybe: "keyrings", try: func(*world) error {
			_, err := unix.KeyctlJoinSessionKeyring("escape")
			return err
		}},
		harmless("request a key", false, func() call {
			return sys(unix.SYS_REQUEST_KEY, path("user"), path("escape-none"), 0, 0)
		}, unix.ENOKEY),
		harmless("load a program into the kernel", true, loadProgram),
		harmless("make a map in the kernel", true, func() call {
			attr := [5]uint32{2, 4, 4, 1, 0} // an array
			return sys(unix.SYS_BPF, 0, pointer(&attr), 20)
		}),
		harmless("handle page faults", false, func() call {
			const userModeOnly = 1
			return sys(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|userModeOnly)
		}),
		{name: "count events of itself", part: always, maybe: "performance events", try: func(*world) error { return openCounter(0) }},
		harmless("set up an io_uring", false, func() call {
			return sys(unix.SYS_IO_URING_SETUP, 1, pointer(&ringParams{}))
		}),
		harmless("load a kernel by kexec", true, func() call { return sys(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0xffff) }, unix.EINVAL),
		harmless("load a kernel by kexec from a file", true, func() call {
			return sys(unix.SYS_KEXEC_FILE_LOAD, ^uintptr(0), ^uintptr(0), 0, 0, 0xffff)
		}, unix.EINVAL, unix.EBADF),
		harmless("load a module", true, func() call { return sys(unix.SYS_INIT_MODULE, 0, 0, path("")) }, unix.ENOEXEC),
		harmless("load a module from a file", true, func() call {
			return sys(unix.SYS_FINIT_MODULE, ^uintptr(0), path(""), 0)
		}, unix.EBADF),
		harmless("remove a module", true, func() call {
			return sys(unix.SYS_DELETE_MODULE, path("escape_none"), unix.O_NONBLOCK)
		}, unix.ENOENT),
		harmless("restart the machine", true, func() call { return sys(unix.SYS_REBOOT, 1, 2, 3, 0) }, unix.EINVAL),
		harmless("swap to a file", true, func() call { return sys(unix.SYS_SWAPON, path("/nonexistent"), 0) }, unix.ENOENT),
		harmless("stop swapping", true, func() call { return sys(unix.SYS_SWAPOFF, path("/nonexistent")) }, unix.ENOENT),
		harmless("account processes", true, func() call { return sys(unix.SYS_ACCT, path("/nonexistent")) }, unix.ENOENT),
		harmless("set the clock", true, func() call {
			timex := &unix.Timex{Modes: 0x4000, Tick: 1} // ADJ_TICK, out of range
			return sys(unix.SYS_ADJTIMEX, pointer(timex))
		}, unix.EINVAL),
		harmless("read the kernel log by syslog", false, func() call {
			buf := make([]byte, 64)
			return sys(unix.SYS_SYSLOG, 3, buffer(buf), 64)
		}),
		harmless("watch all files of a mount", true, func() call { return sys(unix.SYS_FANOTIFY_INIT, 0, 0) }),
		uts("set the hostname", unix.SYS_SETHOSTNAME, func(n *unix.Utsname) []byte { return n.Nodename[:] }),
		uts("set the domain name", unix.SYS_SETDOMAINNAME, func(n *unix.Utsname) []byte { return n.Domainname[:] }),
	}
}

// loadProgram loads the program "return 0" as a socket filter (bpf(2)).
func loadProgram() call {
	code := [2]uint64{0xb7, 0x95} // r0 = 0; exit
	attr := struct {
		kind, count   uint32
		code, license uint64
		rest          [8]uint64
	}{kind: 1, count: 2, code: uint64(pointer(&code)), license: uint64(path("GPL"))}
	return sys(unix.SYS_BPF, 5, pointer(&attr), 48)
}

// withKey adds a key to the keyring of the command's user.
func withKey(t testing.TB, w *world) {
	t.Helper()
	w.Str["key"] = "escape-" + w.Work
	var id int
	var err error
	proctest.OnThread(func() {
		if w.uid != os.Geteuid() {
			if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(w.uid), uintptr(w.uid), uintptr(w.uid)); errno != 0 {
				err = errno
				return
			}
		}
		if id, err = unix.AddKey("user", w.Str["key"], []byte(w.secret), unix.KEY_SPEC_USER_KEYRING); err == nil {
			_, err = unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, 60, 0, 0)
		}
	})
	if err != nil {
		t.Skip("SKIPPED: no keyrings: ", err)
	}
	w.cleanup(func() { _, _ = unix.KeyctlInt(unix.KEYCTL_INVALIDATE, id, 0, 0, 0) })
}

func readKey(w *world) error {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", w.Str["key"], 0)
	if err != nil {
		return err
	}
	buf := make([]byte, 64)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0)
	_, _ = os.Stdout.Write(buf[:max(n, 0)])
	return err
}

// ipcAttempts use System V and POSIX objects of the host.
func ipcAttempts() []attempt {
	return []attempt{
		{name: "attach System V shared memory", part: ipc, maybe: "System V IPC", prepare: withSharedMemory, escaped: leaked,
			try: func(w *world) error {
				id, err := unix.SysvShmGet(w.Num["key"], 0, 0)
				if err != nil {
					return err
				}
				memory, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY)
				if err == nil {
					fmt.Println(unix.ByteSliceToString(memory))
				}
				return err
			}},
		{name: "find a System V message queue", part: ipc, maybe: "System V IPC",
			prepare: withSystemV(unix.SYS_MSGGET, 0o600|unix.IPC_CREAT, unix.SYS_MSGCTL),
			try:     func(w *world) error { return sys(unix.SYS_MSGGET, uintptr(w.Num["key"]), 0).try() }},
		{name: "find System V semaphores", part: ipc, maybe: "System V IPC", prepare: withSemaphore,
			try: func(w *world) error { return sys(unix.SYS_SEMGET, uintptr(w.Num["key"]), 0, 0).try() }},
		{name: "read a POSIX message queue", part: ipc, maybe: "POSIX message queues", prepare: withQueue, escaped: leaked, try: readQueue},
		{name: "read POSIX shared memory", part: ipc, maybe: "/dev/shm", escaped: leaked,
			prepare: func(t testing.TB, w *world) {
				w.Str["memory"] = "/dev/shm/" + strings.ReplaceAll(w.Work[1:], "/", "-")
				if err := errors.Join(os.WriteFile(w.Str["memory"], []byte(w.secret), 0o644), w.own(w.Str["memory"])); err != nil {
					t.Skip("SKIPPED: ", err)
				}
				w.cleanup(func() { _ = os.Remove(w.Str["memory"]) })
			},
			try: func(w *world) error { return read(w.Str["memory"]) }},
	}
}

// newKey is a number that no other System V object has, most likely.
func newKey() int { return 0x45000000 | int(time.Now().UnixNano()&0xffffff) }

func withSharedMemory(t testing.TB, w *world) {
	t.Helper()
	w.Num["key"] = newKey()
	id, err := unix.SysvShmGet(w.Num["key"], 4096, 0o644|unix.IPC_CREAT|unix.IPC_EXCL)
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	w.cleanup(func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	memory, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	copy(memory, w.secret)
	_ = unix.SysvShmDetach(memory)
}

// withSystemV makes an object by get, and removes it by control.
func withSystemV(get, flags, control uintptr) func(t testing.TB, w *world) {
	return func(t testing.TB, w *world) {
		t.Helper()
		w.Num["key"] = newKey()
		id, _, errno := unix.Syscall(get, uintptr(w.Num["key"]), flags|unix.IPC_EXCL|0o666, 0)
		if errno != 0 {
			t.Skip("SKIPPED: ", errno)
		}
		w.cleanup(func() { _, _, _ = unix.Syscall(control, id, unix.IPC_RMID, 0) })
	}
}

func withSemaphore(t testing.TB, w *world) {
	t.Helper()
	w.Num["key"] = newKey()
	id, _, errno := unix.Syscall(unix.SYS_SEMGET, uintptr(w.Num["key"]), 1, unix.IPC_CREAT|unix.IPC_EXCL|0o666)
	if errno != 0 {
		t.Skip("SKIPPED: ", errno)
	}
	w.cleanup(func() { _, _, _ = unix.Syscall(unix.SYS_SEMCTL, id, 0, unix.IPC_RMID) })
}

// withQueue makes a message queue with the secret (mq_overview(7)).
func withQueue(t testing.TB, w *world) {
	t.Helper()
	w.Str["queue"] = strings.ReplaceAll(w.Work[1:], "/", "-")
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, path(w.Str["queue"]), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o666, 0, 0, 0)
	if errno != 0 {
		t.Skip("SKIPPED: ", errno)
	}
	w.fd["queue"] = int(fd)
	w.cleanup(func() { _, _, _ = unix.Syscall(unix.SYS_MQ_UNLINK, path(w.Str["queue"]), 0, 0) })
	message := []byte(w.secret)
	if _, _, errno := unix.Syscall6(unix.SYS_MQ_TIMEDSEND, fd, buffer(message), uintptr(len(message)), 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}

func readQueue(w *world) error {
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, path(w.Str["queue"]), unix.O_RDONLY|unix.O_NONBLOCK, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	buf := make([]byte, 64<<10)
	n, _, errno := unix.Syscall6(unix.SYS_MQ_TIMEDRECEIVE, fd, buffer(buf), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	_, _ = os.Stdout.Write(buf[:n])
	return nil
}

// cgroupAttempts use control groups.
func cgroupAttempts() []attempt {
	return []attempt{
		{name: "make a control group", part: always, root: true, maybe: "cgroup2", prepare: withControlGroup,
			try:     func(w *world) error { return os.Mkdir(w.Str["group"]+"/escape", 0o755) },
			escaped: func(w *world, _ string) bool { return os.Remove(w.Str["group"]+"/escape") == nil }},
		{name: "move to another control group", part: always, root: true, maybe: "cgroup2", prepare: withControlGroup,
			try: func(w *world) error { return os.WriteFile(w.Str["group"]+"/cgroup.procs", []byte("0"), 0) }},
		{name: "kill a control group", part: always, maybe: "cgroup2", escaped: killed,
			prepare: func(t testing.TB, w *world) {
				withControlGroup(t, w)
				withVictim(t, w)
				pid := []byte(fmt.Sprint(w.Num["victim"]))
				if err := os.WriteFile(w.Str["group"]+"/cgroup.procs", pid, 0); err != nil {
					t.Fatal(err)
				}
			},
			try: func(w *world) error { return os.WriteFile(w.Str["group"]+"/cgroup.kill", []byte("1"), 0) }},
		{name: "change a limit of a control group", part: always, maybe: "cgroup2", prepare: withControlGroup,
			try: func(w *world) error { return os.WriteFile(w.Str["group"]+"/cgroup.max.descendants", []byte("1"), 0) }},
		{name: "set a release agent", part: always, root: true, maybe: "release agent of cgroup version 1",
			try: func(*world) error {
				list, _ := filepath.Glob("/sys/fs/cgroup/*/release_agent")
				if len(list) == 0 {
					return unix.ENOENT
				}
				return openOnly(list[0], unix.O_WRONLY)
			}},
	}
}

// withControlGroup makes a control group of the command's user.
func withControlGroup(t testing.TB, w *world) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can make control groups for certain")
	}
	text, _ := os.ReadFile("/proc/mounts")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			w.Str["group"] = fields[1] + "/escape-" + filepath.Base(filepath.Dir(w.Work))
		}
	}
	if w.Str["group"] == "" {
		t.Skip("SKIPPED: no cgroup2")
	}
	if err := os.Mkdir(w.Str["group"], 0o755); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	w.cleanup(func() { proctest.Poll(func() bool { return os.Remove(w.Str["group"]) == nil }) })
	if err := w.own(w.Str["group"]); err != nil {
		t.Fatal(err)
	}
}
