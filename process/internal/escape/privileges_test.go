//go:build linux

package escape

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// run runs a program and prints its output.
func run(argv ...string) error { return runWith(nil, argv...) }

func runWith(attr *syscall.SysProcAttr, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stdout, attr
	return cmd.Run()
}

// withPrivileged makes a copy of cat that gets privileges, and a file that only root and its group
// may read. grant gives the privileges.
func withPrivileged(grant func(path string) error) func(t testing.TB, w *world) {
	return func(t testing.TB, w *world) {
		t.Helper()
		cat, err := exec.LookPath("cat")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(cat)
		if err != nil {
			t.Fatal(err)
		}
		w.make(t, "readable/cat", string(text))
		w.Str["cat"] = filepath.Join(w.Readable, "cat")
		private := filepath.Join(w.Readable, "private")
		err = errors.Join(os.Chown(w.Str["cat"], 0, 0), os.Chmod(w.Str["cat"], 0o755), os.WriteFile(private, []byte(w.secret), 0o640))
		if err = errors.Join(err, grant(w.Str["cat"])); err != nil {
			t.Fatal(err)
		}
	}
}

func runPrivileged(w *world) error { return run(w.Str["cat"], w.Readable+"/private") }

// setCapability gives a file CAP_DAC_READ_SEARCH (struct vfs_cap_data, capabilities(7)).
func setCapability(path string) error {
	const revision2, effective, permitted = 0x02000000, 1, 1 << unix.CAP_DAC_READ_SEARCH
	var data []byte
	for _, word := range []uint32{revision2 | effective, permitted, 0, 0, 0} {
		data = binary.LittleEndian.AppendUint32(data, word)
	}
	return unix.Setxattr(path, "security.capability", data, 0)
}

// makeFile makes a file in the working directory.
func makeFile(name string, flags int, mode uint32) error {
	fd, err := unix.Open(name, flags|unix.O_WRONLY|unix.O_CLOEXEC, mode)
	return errors.Join(err, unix.Close(fd))
}

// setIDFile reports whether the command has made the file "run" set-user-ID or set-group-ID.
func setIDFile(w *world, _ string) bool {
	info, err := os.Stat(w.Work + "/run")
	return err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0
}

// privilegeAttempts gain privileges, or use those of root.
func privilegeAttempts() []attempt {
	setid := func(mode uint32) func(string) error {
		return func(path string) error { return unix.Chmod(path, mode) }
	}
	return []attempt{
		{name: "run a set-user-ID program", part: always, user: true, prepare: withPrivileged(setid(0o4755)),
			try: runPrivileged, escaped: leaked, maybe: "set-user-ID programs in the temporary directory"},
		{name: "run a set-group-ID program", part: always, user: true, prepare: withPrivileged(setid(0o2755)),
			try: runPrivileged, escaped: leaked, maybe: "set-user-ID programs in the temporary directory"},
		{name: "run a program with file capabilities", part: always, user: true, prepare: withPrivileged(setCapability),
			try: runPrivileged, escaped: leaked, maybe: "file capabilities in the temporary directory"},
		{name: "run a set-user-ID program in a new session", part: always, user: true, prepare: withPrivileged(setid(0o4755)),
			try: func(w *world) error {
				return runWith(&syscall.SysProcAttr{Setsid: true}, "sh", "-c", "exec "+w.Str["cat"]+" "+w.Readable+"/private")
			}, escaped: leaked, maybe: "set-user-ID programs in the temporary directory"},
		{name: "make a program with file capabilities", part: always, root: true, maybe: "file capabilities in the temporary directory",
			try: func(*world) error { return setCapability("own") }},
		{name: "make a program set-user-ID for the host", part: always,
			prepare: func(t testing.TB, w *world) { w.make(t, "work/run", "#!/bin/sh\n") },
			try:     func(*world) error { return unix.Chmod("run", 0o6755) }, escaped: setIDFile},
		{name: "make a new file that is set-user-ID for the host", part: always, escaped: setIDFile, try: func(*world) error {
			return either(makeFile("run", unix.O_CREAT, 0o4755), makeFile("run", unix.O_CREAT|unix.O_EXCL, 0o2755))
		}},
		{name: "make a set-user-ID file by mknod", part: always, escaped: setIDFile,
			try: func(*world) error { return unix.Mknod("run", unix.S_IFREG|0o4755, 0) }},
		{name: "make a set-user-ID file by openat2", part: always, escaped: setIDFile, try: func(*world) error {
			fd, err := unix.Openat2(unix.AT_FDCWD, "run", &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY | unix.O_CLOEXEC, Mode: 0o4755})
			return errors.Join(err, unix.Close(fd))
		}},
		{name: "make a set-user-ID file by fchmodat2", part: always, escaped: setIDFile, maybe: "fchmodat2(2)", try: func(*world) error {
			return errors.Join(makeFile("run", unix.O_CREAT, 0o755),
				inChild(sys(unix.SYS_FCHMODAT2, atCwd, path("run"), 0o4755, 0)))
		}},
		{name: "read a file of another user as root", part: always, root: true, escaped: leaked,
			prepare: func(t testing.TB, w *world) {
				w.make(t, "readable/foreign", w.secret)
				if err := errors.Join(os.Chmod(w.Readable+"/foreign", 0o600), os.Chown(w.Readable+"/foreign", nobody, nobody)); err != nil {
					t.Fatal(err)
				}
			},
			try: func(w *world) error { return read(w.Readable + "/foreign") }},
		{name: "become another user", part: always, root: true,
			try: func(*world) error { return inChild(sys(unix.SYS_SETRESUID, nobody, nobody, nobody)) }},
		{name: "change the groups", part: always, root: true,
			try: func(*world) error {
				group := uint32(nobody)
				return inChild(sys(unix.SYS_SETGROUPS, 1, pointer(&group)))
			}},
		{name: "get capabilities by executing a program", part: always, root: true,
			try: func(*world) error { return run("mknod", "device", "c", "1", "3") }},
		{name: "raise a hard limit", part: always, root: true,
			try: func(*world) error {
				var limit unix.Rlimit
				if err := unix.Getrlimit(unix.RLIMIT_MSGQUEUE, &limit); err != nil {
					return err
				}
				return unix.Setrlimit(unix.RLIMIT_MSGQUEUE, &unix.Rlimit{Cur: limit.Cur, Max: limit.Max + 1})
			}, maybe: "CAP_SYS_RESOURCE"},
		{name: "raise the limit of core dumps", part: always, maybe: "limit of core dumps",
			try: func(*world) error {
				return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
			}},
		{name: "dump a core outside", part: files, maybe: "core dumps in the working directory",
			try: func(w *world) error {
				return run("sh", "-c", "ulimit -c unlimited; cd ../outside && kill -SEGV $$")
			},
			escaped: func(w *world, _ string) bool {
				list, _ := filepath.Glob(w.Outside + "/core*")
				return len(list) > 0
			}},
		{name: "dump a core in the workspace", part: always, maybe: "core dumps in the working directory",
			try: func(w *world) error { return run("sh", "-c", "ulimit -c unlimited; kill -SEGV $$") },
			escaped: func(w *world, _ string) bool {
				list, _ := filepath.Glob(w.Work + "/core*")
				return len(list) > 0
			}},
	}
}

// inheritAttempts use what a command inherits, and check that what it starts is restricted.
func inheritAttempts() []attempt {
	return []attempt{
		{name: "read an inherited descriptor", part: always, escaped: leaked,
			prepare: func(t testing.TB, w *world) {
				fd, err := unix.Open(w.Hidden+"/secret", unix.O_RDONLY, 0) // without O_CLOEXEC
				if err != nil {
					t.Fatal(err)
				}
				w.fd["inherited"], w.Num["fd"] = fd, fd
			},
			try: func(w *world) error {
				buf := make([]byte, 64)
				n, err := unix.Pread(w.Num["fd"], buf, 0)
				_, _ = os.Stdout.Write(buf[:max(n, 0)])
				return err
			}},
		{name: "use an inherited directory", part: always, escaped: leaked,
			prepare: func(t testing.TB, w *world) {
				fd, err := unix.Open(w.Hidden, unix.O_PATH|unix.O_DIRECTORY, 0)
				if err != nil {
					t.Fatal(err)
				}
				w.fd["inherited"], w.Num["fd"] = fd, fd
			},
			try: func(w *world) error {
				fd, err := unix.Openat(w.Num["fd"], "secret", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				return read("/proc/self/fd/" + strconv.Itoa(fd))
			}},
		{name: "use any descriptor but the standard ones", part: always, escaped: leaked,
			prepare: func(t testing.TB, w *world) {
				fd, err := unix.Open(w.Hidden, unix.O_RDONLY|unix.O_DIRECTORY, 0)
				if err != nil {
					t.Fatal(err)
				}
				w.fd["inherited"] = fd
			},
			try: func(w *world) error {
				var list []error
				for fd := 3; fd < 256; fd++ {
					if file, err := unix.Openat(fd, "../hidden/secret", unix.O_RDONLY, 0); err == nil {
						list = append(list, read("/proc/self/fd/"+strconv.Itoa(file)))
					}
				}
				return errors.Join(list...)
			}},
		{name: "write in a memory file that is executed", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return writeFromMemory(w.Outside + "/file") }},
		{name: "write in a new session", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				return runWith(&syscall.SysProcAttr{Setsid: true}, w.Program, writeMode, w.Outside+"/file")
			}},
		{name: "write in an orphan", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				return run("sh", "-c", "(echo escaped >"+w.Outside+"/file; echo x) | cat & wait")
			}},
		{name: "write by the dynamic linker", part: files, escaped: changed("outside/file"), maybe: "dynamic linker",
			try: func(w *world) error {
				list, _ := filepath.Glob("/lib*/ld-linux*.so*")
				if len(list) == 0 {
					return unix.ENOENT
				}
				return run(list[0], "/bin/sh", "-c", "echo escaped >"+w.Outside+"/file")
			}},
		{name: "write by a script of the workspace", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				err := os.WriteFile("script", []byte("#!/bin/sh\necho escaped >"+w.Outside+"/file\n"), 0o755)
				return errors.Join(err, run("./script"))
			}},
		{name: "preload a library into what starts the command", part: files, escaped: changed("outside/file"), maybe: "compiler",
			prepare: withLibrary,
			variables: func(w *world) []string {
				return []string{"LD_PRELOAD=" + w.Work + "/library.so", "ESCAPE_TARGET=" + w.Outside + "/file"}
			},
			try: func(*world) error { return errors.New("the library should do it") }},
	}
}

// writeFromMemory executes a copy of this program that has no name.
func writeFromMemory(target string) error {
	fd, err := unix.MemfdCreate("escape", 0)
	if err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	copied := os.NewFile(uintptr(fd), "escape")
	if _, err := io.Copy(copied, bytes.NewReader(text)); err != nil {
		return err
	}
	return run("/proc/self/fd/"+strconv.Itoa(fd), writeMode, target)
}

const librarySource = `#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void escape(void) {
	const char *target = getenv("ESCAPE_TARGET");
	if (target) { int fd = open(target, O_WRONLY); if (fd >= 0 && write(fd, "escaped!", 8)) close(fd); }
}
`

// withLibrary compiles a library that writes to a file when it is loaded.
func withLibrary(t testing.TB, w *world) {
	t.Helper()
	w.make(t, "work/library.c", librarySource)
	cmd := exec.Command("cc", "-shared", "-fPIC", "-o", w.Work+"/library.so", w.Work+"/library.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: cc: %v %s", err, out)
	}
}
