//go:build linux

package escape

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ofVictim returns the path of a file of the victim in /proc.
func (w *world) ofVictim(name string) string {
	return fmt.Sprintf("/proc/%d/%s", w.Num["victim"], name)
}

// procAttempts use /proc.
func procAttempts() []attempt {
	return []attempt{
		{name: "write through the root in proc", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return write("/proc/self/root" + w.Outside + "/file") }},
		{name: "write through the working directory in proc", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return write("/proc/thread-self/cwd/../outside/file") }},
		{name: "write through the root of another process", part: always,
			escaped: changed("outside/file"), prepare: withVictim,
			try: func(w *world) error { return write(w.ofVictim("root") + w.Outside + "/file") }},
		{name: "read through the root of another process", part: always, escaped: leaked, prepare: withVictim,
			try: func(w *world) error { return read(w.ofVictim("root") + w.Hidden + "/secret") }},
		{name: "write through the working directory of another process", part: always,
			escaped: changed("outside/file"), prepare: withVictim,
			try: func(w *world) error { return write(w.ofVictim("cwd/file")) }},
		{name: "write through a descriptor of another process", part: always,
			escaped: changed("outside/file"), prepare: withVictim,
			try: func(w *world) error { return write(w.ofVictim("fd/3")) }},
		{name: "read through a descriptor of another process", part: always, escaped: leaked, prepare: withVictim,
			try: func(w *world) error { return read(w.ofVictim("fd/4")) }},
		{name: "read the environment of another process", part: always, escaped: leaked, prepare: withVictim,
			try: func(w *world) error { return read(w.ofVictim("environ")) }},
		{name: "read the memory of another process in proc", part: always, escaped: leaked, prepare: withVictim,
			try: func(w *world) error {
				f, err := os.Open(w.ofVictim("mem"))
				if err != nil {
					return err
				}
				_, err = io.Copy(os.Stdout, io.NewSectionReader(f, int64(w.Num["environ"]), 40))
				return err
			}},
		{name: "write to the memory of another process in proc", part: always, escaped: damaged, prepare: withVictim,
			try: func(w *world) error {
				f, err := os.OpenFile(w.ofVictim("mem"), os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				_, err = f.WriteAt([]byte("escaped"), int64(w.Num["environ"]))
				return err
			}},
		{name: "read the memory map of another process", part: always, prepare: withVictim,
			try: func(w *world) error { return read(w.ofVictim("maps")) }},
		{name: "read everything that any process in proc leads to", part: always, escaped: leaked, prepare: withVictim,
			try: func(w *world) error { return readAnyProcess(w) }},
		{name: "write to the own program", part: files, ownProgram: true,
			try: func(*world) error {
				fd, err := unix.Open("/proc/self/exe", unix.O_PATH, 0)
				if err != nil {
					return err
				}
				// The file can be written to when it is not executed any more.
				script := fmt.Sprintf("echo escaped 1<>/proc/self/fd/%d", fd)
				return unix.Exec("/bin/sh", []string{"sh", "-c", script}, os.Environ())
			},
			escaped: func(w *world, _ string) bool {
				text, err := os.ReadFile(w.Readable + "/program")
				return err != nil || strings.HasPrefix(string(text), "escaped")
			}},
		{name: "see another process in proc", part: processes, prepare: withVictim,
			try: func(w *world) error {
				comm, err := os.ReadFile(w.ofVictim("comm"))
				if err == nil && string(comm) != "cat\n" {
					err = fmt.Errorf("it is %q", comm)
				}
				return err
			}},
		{name: "change the OOM score of another process", part: processes, prepare: withVictim,
			try: func(w *world) error { return os.WriteFile(w.ofVictim("oom_score_adj"), []byte("900"), 0) },
			escaped: func(w *world, _ string) bool {
				text, _ := os.ReadFile(w.ofVictim("oom_score_adj"))
				return string(text) == "900\n"
			}},
		{name: "mount proc of the host by its descriptor", part: always, escaped: leaked, prepare: withVictim,
			try: func(w *world) error {
				fd, err := unix.Open(w.ofVictim("root"), unix.O_PATH, 0)
				if err != nil {
					return err
				}
				file, err := unix.Openat(fd, w.Hidden[1:]+"/secret", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				return read("/proc/self/fd/" + strconv.Itoa(file))
			}},
		openForWriting("open the core pattern for writing", "/proc/sys/kernel/core_pattern"),
		openForWriting("open the module loader's path for writing", "/proc/sys/kernel/modprobe"),
		openForWriting("open the hostname for writing", "/proc/sys/kernel/hostname"),
		openForWriting("open drop_caches for writing", "/proc/sys/vm/drop_caches"),
		openForWriting("open the SysRq trigger for writing", "/proc/sysrq-trigger"),
		openForWriting("open an interrupt's affinity for writing", "/proc/irq/default_smp_affinity"),
		openForWriting("open the register of executable formats for writing", "/proc/sys/fs/binfmt_misc/register"),
		openForWriting("open the power state for writing", "/sys/power/state"),
		openForWriting("open the uevent helper for writing", "/sys/kernel/uevent_helper"),
		openForWriting("open a device's uevent for writing", "/sys/devices/virtual/mem/null/uevent"),
		openForWriting("open the tracing files for writing", "/sys/kernel/tracing/trace_marker"),
		{name: "open the kernel's memory", part: always, root: true, maybe: "/proc/kcore",
			try: func(*world) error { return openOnly("/proc/kcore", unix.O_RDONLY) }},
		{name: "open the kernel log", part: always, root: true,
			try: func(*world) error { return openOnly("/proc/kmsg", unix.O_RDONLY|unix.O_NONBLOCK) }},
	}
}

// openForWriting opens a file of the kernel, and writes nothing. The kernel checks the rest of the
// rights at the open.
func openForWriting(name, path string) attempt {
	return attempt{name: name, part: always, root: true, maybe: path,
		try: func(*world) error { return openOnly(path, unix.O_WRONLY) }}
}

func openOnly(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// readAnyProcess reads hidden/secret through the root of each process in /proc, and everything that
// is open there.
func readAnyProcess(w *world) error {
	var list []error
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		if dir == "/proc/"+strconv.Itoa(os.Getpid()) {
			continue
		}
		list = append(list, read(dir+"/root"+w.Hidden+"/secret"))
		if target, err := os.Readlink(dir + "/fd/4"); err == nil && filepath.Base(target) == "secret" {
			list = append(list, read(dir+"/fd/4"))
		}
	}
	return errors.Join(list...)
}

// deviceAttempts use device files.
func deviceAttempts() []attempt {
	device := func(name, path string, flags int) attempt {
		return attempt{name: name, part: always, root: true, maybe: path,
			try: func(*world) error { return openOnly(path, flags) }}
	}
	fuse := device("open the FUSE device", "/dev/fuse", unix.O_RDWR)
	fuse.root = false
	log := device("write to the kernel log", "/dev/kmsg", unix.O_WRONLY)
	return []attempt{
		fuse, log,
		device("open the memory device", "/dev/mem", unix.O_RDONLY),
		device("open the KVM device", "/dev/kvm", unix.O_RDWR),
		device("open the loop control device", "/dev/loop-control", unix.O_RDWR),
		device("open a loop device", "/dev/loop0", unix.O_RDONLY),
		device("open the console", "/dev/console", unix.O_WRONLY|unix.O_NONBLOCK),
		device("open a virtual terminal", "/dev/tty1", unix.O_WRONLY|unix.O_NONBLOCK),
		device("open the tunnel device", "/dev/net/tun", unix.O_RDWR),
		{name: "read the disk", part: always, root: true, maybe: "block device of the root file system",
			prepare: func(t testing.TB, w *world) { w.Str["disk"] = disk(t, w) },
			try:     func(w *world) error { return openOnly(w.Str["disk"], unix.O_RDONLY) }},
		{name: "make a device file of the disk", part: always, root: true, maybe: "block device of the root file system",
			prepare: func(t testing.TB, w *world) { w.Str["disk"] = disk(t, w) },
			try: func(w *world) error {
				return errors.Join(unix.Mknod("disk", unix.S_IFBLK|0o600, w.Num["device"]), openOnly("disk", unix.O_RDONLY))
			}},
		{name: "use a device file that the host has made", part: devices, root: true,
			prepare: func(t testing.TB, w *world) {
				if err := unix.Mknod(w.Work+"/memory", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 11))); err != nil {
					t.Skip("SKIPPED: ", err)
				}
			},
			try: func(w *world) error { return openOnly("memory", unix.O_WRONLY) }},
		{name: "make a device file of the null device", part: always, root: true,
			try: func(w *world) error {
				return errors.Join(unix.Mknod("null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), openOnly("null", unix.O_WRONLY))
			}},
	}
}

// disk returns the path of the device of the directory of the world.
func disk(t testing.TB, w *world) string {
	t.Helper()
	info, err := os.Stat(w.Work)
	if err != nil {
		t.Fatal(err)
	}
	device := info.Sys().(*syscall.Stat_t).Dev
	w.Num["device"] = int(device)
	list, _ := filepath.Glob("/dev/*")
	for _, path := range list {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == device {
			return path
		}
	}
	t.Skip("SKIPPED: no block device has the temporary directory")
	return ""
}

// mountAttempts change mounts. Without a sandbox root has its own ones.
func mountAttempts() []attempt {
	none := uintptr(0)
	inUserNamespace := func(name string, flags uintptr, calls func(w *world) []call) attempt {
		return attempt{name: name + " in a user namespace", part: always, maybe: "user namespaces",
			try: func(w *world) error {
				return inChild(append([]call{sys(unix.SYS_UNSHARE, unix.CLONE_NEWUSER|flags)}, calls(w)...)...)
			}}
	}
	bind := func(from, to string) call {
		return sys(unix.SYS_MOUNT, path(from), path(to), none, unix.MS_BIND|unix.MS_REC, none)
	}
	asRoot := func(name string, escaped func(*world, string) bool, try func(w *world) error) attempt {
		return attempt{name: name, part: always, root: true, try: try, escaped: escaped}
	}
	list := []attempt{
		asRoot("bind a directory into the workspace", nil, func(w *world) error { return bind(w.Outside, "p").try() }),
		asRoot("uncover a hidden directory", leaked, func(w *world) error {
			_ = unix.Unmount(w.Hidden, unix.MNT_DETACH)
			return read(w.Hidden + "/secret")
		}),
		asRoot("make a mount writable", changed("readable/file"), func(w *world) error {
			_ = unix.Mount("", w.Readable, "", unix.MS_REMOUNT|unix.MS_BIND, "")
			return write(w.Readable + "/file")
		}),
		asRoot("make a mount writable by mount_setattr", nil, func(w *world) error {
			return unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
		}),
		asRoot("mount tmpfs", nil, func(w *world) error { return unix.Mount("tmpfs", "p", "tmpfs", 0, "") }),
		asRoot("mount proc", nil, func(w *world) error { return unix.Mount("proc", "p", "proc", 0, "") }),
		asRoot("mount an overlay", nil, func(w *world) error {
			err := errors.Join(os.Mkdir("upper", 0o755), os.Mkdir("scratch", 0o755))
			return errors.Join(err, unix.Mount("overlay", "p", "overlay", 0, "lowerdir="+w.Outside+",upperdir=upper,workdir=scratch"))
		}),
		asRoot("change the propagation of mounts", nil, func(*world) error { return unix.Mount("", "/", "", unix.MS_SHARED, "") }),
		asRoot("copy a mount by open_tree", nil, func(w *world) error {
			fd, err := unix.OpenTree(unix.AT_FDCWD, w.Outside, unix.OPEN_TREE_CLONE)
			if err != nil {
				return err
			}
			return unix.MoveMount(fd, "", unix.AT_FDCWD, "p", unix.MOVE_MOUNT_F_EMPTY_PATH)
		}),
		asRoot("open a file system by fsopen", nil, func(*world) error {
			_, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
			return err
		}),
		asRoot("pick a file system by fspick", nil, func(*world) error {
			_, err := unix.Fspick(unix.AT_FDCWD, "/proc", unix.FSPICK_CLOEXEC)
			return err
		}),
		asRoot("change the root directory", nil, func(*world) error { return inChild(sys(unix.SYS_CHROOT, path("p"))) }),
		asRoot("leave the root directory by chroot", changed("outside/file"), func(w *world) error {
			up := sys(unix.SYS_CHDIR, path("../../../../../../../.."))
			return inChild(sys(unix.SYS_CHROOT, path("p")), up, sys(unix.SYS_CHROOT, path(".")),
				sys(unix.SYS_OPENAT, atCwd, path(w.Outside+"/file"), unix.O_WRONLY|unix.O_TRUNC, 0))
		}),
		asRoot("pivot the root", nil, func(w *world) error {
			return inChild(sys(unix.SYS_UNSHARE, unix.CLONE_NEWNS), sys(unix.SYS_MOUNT, path("tmpfs"), path("p"), path("tmpfs"), 0, none),
				sys(unix.SYS_CHDIR, path("p")), sys(unix.SYS_PIVOT_ROOT, path("."), path(".")))
		}),
		inUserNamespace("bind a directory", unix.CLONE_NEWNS, func(w *world) []call { return []call{bind(w.Outside, w.Work+"/p")} }),
		inUserNamespace("mount tmpfs", unix.CLONE_NEWNS, func(w *world) []call {
			return []call{sys(unix.SYS_MOUNT, path("tmpfs"), path(w.Work+"/p"), path("tmpfs"), 0, none)}
		}),
		inUserNamespace("change the root directory", 0, func(w *world) []call { return []call{sys(unix.SYS_CHROOT, path(w.Work))} }),
		inUserNamespace("make a PID namespace", unix.CLONE_NEWPID, func(*world) []call { return nil }),
		inUserNamespace("make a network namespace", unix.CLONE_NEWNET, func(*world) []call { return nil }),
		{name: "make a user namespace by unshare", part: always, maybe: "user namespaces",
			try: func(*world) error { return inChild(sys(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)) }},
		{name: "make a user namespace by clone", part: always, maybe: "user namespaces",
			try: func(*world) error { return newNamespace(unix.CLONE_NEWUSER) }},
		{name: "make a user namespace by clone3", part: always, maybe: "user namespaces",
			try: func(*world) error { return clone3(unix.CLONE_NEWUSER) }},
		{name: "enter the namespaces of another process", part: always, root: true, prepare: withVictim,
			try: func(w *world) error {
				fd, err := unix.PidfdOpen(w.Num["victim"], 0)
				if err != nil {
					return err
				}
				return inChild(sys(unix.SYS_SETNS, uintptr(fd), unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS))
			}},
		{name: "enter a namespace by its file", part: always, root: true, prepare: withVictim,
			try: func(w *world) error {
				fd, err := unix.Open(w.ofVictim("ns/net"), unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				return inChild(sys(unix.SYS_SETNS, uintptr(fd), 0))
			}},
	}
	for _, kind := range []struct {
		name string
		flag uintptr
	}{{"mount", unix.CLONE_NEWNS}, {"PID", unix.CLONE_NEWPID}, {"network", unix.CLONE_NEWNET}, {"IPC", unix.CLONE_NEWIPC},
		{"UTS", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP}, {"time", unix.CLONE_NEWTIME}} {
		list = append(list, asRoot("make a "+kind.name+" namespace", nil,
			func(*world) error { return inChild(sys(unix.SYS_UNSHARE, kind.flag)) }))
	}
	return list
}

// newNamespace makes a process in a new namespace by clone(2).
func newNamespace(flag uintptr) error {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flag|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	_, err := unix.Wait4(int(pid), nil, unix.WALL, nil)
	return err
}

// clone3 makes a process by clone3(2).
func clone3(flags uint64) error {
	args := [11]uint64{0: flags, 4: uint64(unix.SIGCHLD)} // struct clone_args: flags, …, exit_signal, …
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, pointer(&args), unsafe.Sizeof(args), 0)
	if errno == 0 && pid == 0 {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	_, err := unix.Wait4(int(pid), nil, unix.WALL, nil)
	return err
}
