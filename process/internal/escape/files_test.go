//go:build linux

package escape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// fileAttempts read and change files by their paths.
func fileAttempts() []attempt {
	return []attempt{
		{name: "write by absolute path", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return write(w.Outside + "/file") }},
		{name: "write by relative path", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return write("../outside/file") }},
		{name: "write by dots in the middle", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return write(w.Work + "/p/../../outside/./file") }},
		{name: "write to a read-only path", part: files, escaped: changed("readable/file"),
			try: func(w *world) error { return write(w.Readable + "/file") }},
		{name: "write relative to a descriptor of the root", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				root, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
				if err != nil {
					return err
				}
				fd, err := unix.Openat(root, w.Outside[1:]+"/file", unix.O_WRONLY|unix.O_TRUNC, 0)
				if err != nil {
					return err
				}
				_, err = unix.Write(fd, []byte("escaped"))
				return err
			}},
		{name: "write to a file that the host makes later", part: files,
			try:    func(w *world) error { return errors.Join(w.await(), write(w.Readable+"/later")) },
			during: func(t testing.TB, w *world) { w.make(t, "readable/later", original) },
			escaped: func(w *world, out string) bool {
				return changed("readable/later")(w, out) && exists("readable/later")(w, out)
			}},
		{name: "write to a read-only path in a writable one", part: nested, escaped: changed("work/ro/file", "work/p/ro/file"),
			try: func(w *world) error { return either(write(w.Work+"/ro/file"), write(w.Work+"/p/ro/file")) }},
		{name: "read a hidden file", part: files, escaped: leaked,
			try: func(w *world) error { return read(w.Hidden + "/secret") }},
		{name: "read below a hidden directory", part: files, escaped: leaked,
			try: func(w *world) error { return read("../hidden/sub/secret") }},
		{name: "read a hidden path in a writable one", part: nested, escaped: leaked,
			try: func(w *world) error { return read("none/secret") }},
		{name: "read what no rule permits", part: files, rules: hideByDefault, escaped: leaked,
			try: func(w *world) error { return read(w.Outside + "/secret") }},
		{name: "read what the host makes later where nothing is permitted", part: files, rules: hideByDefault, escaped: leaked,
			try:    func(w *world) error { return errors.Join(w.await(), read(w.Outside+"/later")) },
			during: func(t testing.TB, w *world) { w.make(t, "outside/later", w.secret) }},
		{name: "list a hidden directory", part: files,
			try: func(w *world) error {
				list, err := os.ReadDir(w.Hidden)
				if err == nil && len(list) == 0 {
					err = errors.New("it is empty")
				}
				return err
			}},
		{name: "read a hidden file by a handle", part: files, root: true, escaped: leaked, maybe: "file handles",
			prepare: withHandle, try: readHandle},
		{name: "read a hidden file by io_uring", part: files, escaped: leaked, maybe: "io_uring",
			try: func(w *world) error { return readByRing(w.Hidden + "/secret") }},
		{name: "execute a hidden file", part: files,
			prepare: func(t testing.TB, w *world) {
				w.make(t, "hidden/run", "#!/bin/sh\nexit 0\n")
				if err := os.Chmod(w.Hidden+"/run", 0o755); err != nil {
					t.Fatal(err)
				}
			},
			try: func(w *world) error { return run(w.Hidden + "/run") }},
	}
}

// either returns nil if one of several attempts has succeeded.
func either(list ...error) error {
	for _, err := range list {
		if err == nil {
			return nil
		}
	}
	return errors.Join(list...)
}

// make makes a file of the command's user, which may be executed.
func (w *world) make(t testing.TB, name, text string) {
	t.Helper()
	syscall.ForkLock.RLock() // see copySelf
	defer syscall.ForkLock.RUnlock()
	path := w.path(name)
	temporary := path + ".new"
	if err := errors.Join(os.WriteFile(temporary, []byte(text), 0o644), w.own(temporary), os.Rename(temporary, path)); err != nil {
		t.Fatal(err)
	}
}

// withHandle gives the command the handle of hidden/secret (open_by_handle_at(2)).
func withHandle(t testing.TB, w *world) {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, w.Hidden+"/secret", 0)
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	w.Num["type"], w.Str["handle"] = int(handle.Type()), fmt.Sprintf("%x", handle.Bytes())
}

func readHandle(w *world) error {
	var id []byte
	if _, err := fmt.Sscanf(w.Str["handle"], "%x", &id); err != nil {
		return err
	}
	mount, err := unix.Open(w.Work, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	fd, err := unix.OpenByHandleAt(mount, unix.NewFileHandle(int32(w.Num["type"]), id), unix.O_RDONLY)
	if err != nil {
		return err
	}
	return read("/proc/self/fd/" + strconv.Itoa(fd))
}

// linkAttempts use symbolic and hard links.
func linkAttempts() []attempt {
	return []attempt{
		{name: "write through a symbolic link made before", part: files, escaped: changed("outside/file"),
			prepare: func(t testing.TB, w *world) { w.link(t, "link") },
			try:     func(w *world) error { return write("link/file") }},
		{name: "write through a symbolic link of the command", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				return errors.Join(os.Symlink(w.Outside+"/file", "link"), write("link"))
			}},
		{name: "write through a symbolic link made later", part: files, escaped: changed("outside/file"),
			try:    func(w *world) error { return errors.Join(w.await(), write("link/file")) },
			during: func(t testing.TB, w *world) { w.link(t, "link") }},
		{name: "read through a symbolic link to a hidden file", part: files, escaped: leaked,
			try: func(w *world) error { return errors.Join(os.Symlink(w.Hidden, "link"), read("link/secret")) }},
		{name: "make a file at the end of a dangling link", part: files, escaped: exists("outside/new"),
			try: func(w *world) error {
				return errors.Join(os.Symlink(w.Outside+"/new", "link"), os.WriteFile("link", nil, 0o644))
			}},
		{name: "write through a hard link to an outside file", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return errors.Join(os.Link(w.Outside+"/file", "link"), write("link")) }},
		{name: "write through a hard link to a read-only file", part: files, escaped: changed("readable/file"),
			try: func(w *world) error { return errors.Join(os.Link(w.Readable+"/file", "link"), write("link")) }},
		{name: "write through a hard link to a nested file", part: nested, escaped: changed("work/ro/file"),
			try: func(w *world) error { return errors.Join(os.Link("ro/file", "link"), write("link")) }},
		{name: "read through a hard link to a hidden file", part: files, escaped: leaked,
			try: func(w *world) error { return errors.Join(os.Link(w.Hidden+"/secret", "link"), read("link")) }},
		{name: "link an open descriptor into the workspace", part: files, escaped: changed("readable/file"),
			try: func(w *world) error {
				fd, err := unix.Open(w.Readable+"/file", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				name := "/proc/self/fd/" + strconv.Itoa(fd)
				return errors.Join(unix.Linkat(unix.AT_FDCWD, name, unix.AT_FDCWD, "link", unix.AT_SYMLINK_FOLLOW), write("link"))
			}},
		{name: "reopen a read-only descriptor for writing", part: files, escaped: changed("readable/file"),
			try: func(w *world) error {
				fd, err := unix.Open(w.Readable+"/file", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				return write("/proc/self/fd/" + strconv.Itoa(fd))
			}},
		{name: "write to an unlinked name by rename back", part: files, escaped: changed("readable/file"),
			try: func(w *world) error {
				return errors.Join(os.Rename(w.Readable+"/file", "file"), write("file"), os.Rename("file", w.Readable+"/file"))
			}},
		{name: "swap a link while a rule is checked", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return writeBySwaps(w) }},
	}
}

func (w *world) link(t testing.TB, name string) {
	t.Helper()
	if err := os.Symlink(w.Outside, filepath.Join(w.Work, name)); err != nil {
		t.Fatal(err)
	}
}

// writeBySwaps writes to work/d/file while work/d is a directory and a link to outside in turn.
func writeBySwaps(w *world) error {
	err := errors.Join(os.Mkdir("d", 0o755), os.WriteFile("d/file", nil, 0o644), os.Symlink(w.Outside, "e"))
	for range 50 {
		if err != nil {
			return err
		}
		err = errors.Join(unix.Renameat2(unix.AT_FDCWD, "d", unix.AT_FDCWD, "e", unix.RENAME_EXCHANGE), write("d/file"))
	}
	return err
}

// changeAttempts make, remove and rename files.
func changeAttempts() []attempt {
	return []attempt{
		{name: "make a file outside", part: files, escaped: exists("outside/new"),
			try: func(w *world) error { return os.WriteFile(w.Outside+"/new", nil, 0o644) }},
		{name: "make a file outside without a name", part: files, escaped: exists("outside/new"), maybe: "O_TMPFILE",
			try: func(w *world) error {
				fd, err := unix.Open(w.Outside, unix.O_TMPFILE|unix.O_WRONLY, 0o644)
				if err != nil {
					return err
				}
				name := "/proc/self/fd/" + strconv.Itoa(fd)
				return unix.Linkat(unix.AT_FDCWD, name, unix.AT_FDCWD, w.Outside+"/new", unix.AT_SYMLINK_FOLLOW)
			}},
		{name: "make a directory outside", part: files, escaped: exists("outside/new"),
			try: func(w *world) error { return os.Mkdir(w.Outside+"/new", 0o755) }},
		{name: "make a symbolic link outside", part: files, escaped: exists("outside/new"),
			try: func(w *world) error { return os.Symlink("file", w.Outside+"/new") }},
		{name: "make a hard link outside", part: files, escaped: exists("outside/new"),
			try: func(w *world) error { return os.Link("own", w.Outside+"/new") }},
		{name: "make a FIFO outside", part: files, escaped: exists("outside/new"),
			try: func(w *world) error { return unix.Mkfifo(w.Outside+"/new", 0o644) }},
		{name: "make a file in a read-only path in a writable one", part: nested, escaped: exists("work/ro/new"),
			try: func(w *world) error { return os.WriteFile("ro/new", nil, 0o644) }},
		{name: "make a file next to the directories of all rules", part: files, escaped: exists("new"),
			try: func(w *world) error { return os.WriteFile("../new", nil, 0o644) }},
		{name: "take a lease on a file that may be read", part: always, maybe: "leases", try: func(w *world) error {
			f, err := os.Open(w.Readable + "/file")
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
			return err
		}},
		{name: "remove an outside file", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return os.Remove(w.Outside + "/file") }},
		{name: "remove a hidden directory", part: files,
			escaped: func(w *world, out string) bool { return !exists("hidden/sub")(w, out) },
			try:     func(w *world) error { return os.RemoveAll(w.Hidden) }},
		{name: "rename an outside file", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return os.Rename(w.Outside+"/file", w.Outside+"/other") }},
		{name: "rename an outside file into the workspace", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return os.Rename(w.Outside+"/file", "taken") }},
		{name: "rename a file over an outside one", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				return errors.Join(os.WriteFile("mine", nil, 0o644), os.Rename("mine", w.Outside+"/file"))
			}},
		{name: "exchange a file with an outside one", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				_ = os.WriteFile("own", []byte("escaped"), 0o644)
				return unix.Renameat2(unix.AT_FDCWD, "own", unix.AT_FDCWD, w.Outside+"/file", unix.RENAME_EXCHANGE)
			}},
		{name: "rename the directory of a rule", part: files, escaped: exists("moved"),
			try: func(w *world) error { return os.Rename("../readable", "../moved") }},
		{name: "truncate by path", part: files, escaped: changed("outside/file"),
			try: func(w *world) error { return unix.Truncate(w.Outside+"/file", 0) }},
		{name: "truncate by opening for reading", part: files, escaped: changed("outside/file"),
			try: func(w *world) error {
				_, err := unix.Open(w.Outside+"/file", unix.O_RDONLY|unix.O_TRUNC, 0)
				return err
			}},
		{name: "map a read-only file shared and writable", part: files, escaped: changed("readable/file"),
			try: func(w *world) error {
				fd, err := unix.Open(w.Readable+"/file", unix.O_RDWR, 0)
				if err != nil {
					return err
				}
				m, err := unix.Mmap(fd, 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				if err == nil {
					copy(m, "escaped")
				}
				return err
			}},
	}
}

// sameMode changes the mode of a file to the one that it has.
func sameMode(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	return unix.Chmod(path, st.Mode&0o7777)
}

// metadataAttempts change what is not the content of a file.
func metadataAttempts() []attempt {
	return []attempt{
		{name: "change the mode of an outside file", part: metadata,
			try: func(w *world) error { return os.Chmod(w.Outside+"/file", 0o600) },
			escaped: func(w *world, _ string) bool {
				info, err := os.Stat(w.Outside + "/file")
				return err != nil || info.Mode() != 0o644
			}},
		{name: "make an outside file set-user-ID", part: always,
			try: func(w *world) error { return unix.Chmod(w.Outside+"/file", 0o4755) },
			escaped: func(w *world, _ string) bool {
				info, err := os.Stat(w.Outside + "/file")
				return err != nil || info.Mode()&os.ModeSetuid != 0
			}},
		{name: "change the mode by a read-only descriptor", part: metadata,
			try: func(w *world) error {
				fd, err := unix.Open(w.Outside+"/file", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				return unix.Fchmod(fd, 0o600)
			}},
		{name: "change the mode of a hidden directory", part: metadata,
			try: func(w *world) error { return os.Chmod(w.Hidden, 0o777) },
			escaped: func(w *world, _ string) bool {
				info, err := os.Stat(w.Hidden)
				return err != nil || info.Mode().Perm() != 0o755
			}},
		{name: "change the owner of an outside file", part: metadata, root: true,
			try: func(w *world) error { return os.Chown(w.Outside+"/file", nobody, nobody) }},
		{name: "change the owner of an outside file to the same one", part: metadata,
			try: func(w *world) error { return os.Chown(w.Outside+"/file", os.Geteuid(), -1) }},
		{name: "change the times of an outside file", part: metadata,
			try: func(w *world) error { return unix.Utimes(w.Outside+"/file", []unix.Timeval{{Sec: 1}, {Sec: 1}}) },
			escaped: func(w *world, _ string) bool {
				info, err := os.Stat(w.Outside + "/file")
				return err != nil || info.ModTime().Unix() == 1
			}},
		{name: "change the times of a hidden file", part: metadata,
			try: func(w *world) error {
				return unix.UtimesNanoAt(unix.AT_FDCWD, w.Hidden+"/secret", []unix.Timespec{{Sec: 1}, {Sec: 1}}, unix.AT_SYMLINK_NOFOLLOW)
			}},
		{name: "change the mode of a file of the server", part: metadata, prepare: withToken,
			rules: func(w *world) { w.Str["token"] = tokenOf(w) },
			try:   func(w *world) error { return os.Chmod(w.Str["token"], 0o666) },
			escaped: func(w *world, _ string) bool {
				info, err := os.Stat(w.Str["token"])
				return err != nil || info.Mode() != 0o644
			}},
		{name: "change the mode of a device", part: machine, root: true,
			try: func(*world) error { return sameMode("/dev/full") }},
		{name: "change the times of a device", part: machine, root: true,
			try: func(*world) error {
				return unix.UtimesNanoAt(unix.AT_FDCWD, "/dev/full", []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_OMIT}}, 0)
			}},
		{name: "change the mode of a file in proc", part: machine, root: true,
			try: func(*world) error { return sameMode("/proc/version") }},
		{name: "set an extended attribute of an outside file", part: metadata, maybe: "extended attributes",
			try: func(w *world) error { return unix.Setxattr(w.Outside+"/file", "user.escape", []byte("x"), 0) },
			escaped: func(w *world, _ string) bool {
				n, err := unix.Getxattr(w.Outside+"/file", "user.escape", nil)
				return err == nil && n > 0
			}},
		{name: "set an inode flag of an outside file", part: metadata, maybe: "inode flags",
			try: func(w *world) error {
				fd, err := unix.Open(w.Outside+"/file", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
				if err != nil {
					return err
				}
				const noDump = 0x40
				return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|noDump))
			}},
	}
}

// replaceAttempts use that a name may refer to another file after the start.
func replaceAttempts() []attempt {
	hideFile := func(t testing.TB, w *world) {
		w.make(t, "readable/token", w.secret)
	}
	return []attempt{
		{name: "read a hidden file after the host has replaced it", part: replaced, escaped: leaked,
			rules:   func(w *world) { w.hide("readable/token") },
			prepare: hideFile,
			try:     func(w *world) error { return errors.Join(w.await(), read(w.Readable+"/token")) },
			during:  func(t testing.TB, w *world) { w.make(t, "readable/token", w.secret) }},
		{name: "read a hidden file after the host has removed and made it", part: replaced, escaped: leaked,
			rules:   func(w *world) { w.hide("readable/token") },
			prepare: hideFile,
			try:     func(w *world) error { return errors.Join(w.await(), read(w.Readable+"/token")) },
			during: func(t testing.TB, w *world) {
				_ = os.Remove(w.Readable + "/token")
				w.make(t, "readable/token", w.secret)
			}},
		{name: "read hidden files after the host has rotated them", part: replaced, escaped: leaked,
			rules:   func(w *world) { w.hide("readable/token") },
			prepare: hideFile,
			try: func(w *world) error {
				return errors.Join(w.await(), either(read(w.Readable+"/token"), read(w.Readable+"/token.1")))
			},
			during: func(t testing.TB, w *world) {
				_ = os.Rename(w.Readable+"/token", w.Readable+"/token.1")
				w.make(t, "readable/token", w.secret)
			}},
		{name: "read a hidden directory after the host has replaced it", part: replacedDir, escaped: leaked,
			try:    func(w *world) error { return errors.Join(w.await(), read(w.Hidden+"/secret")) },
			during: func(t testing.TB, w *world) { w.swap(t, "hidden", "secret", w.secret) }},
		{name: "write to a nested file after the host has replaced it", part: nestedReplaced, escaped: changed("work/config"),
			rules:   func(w *world) { w.protect("work/config") },
			prepare: func(t testing.TB, w *world) { w.make(t, "work/config", original) },
			try:     func(w *world) error { return errors.Join(w.await(), write("config")) },
			during:  func(t testing.TB, w *world) { w.make(t, "work/config", original) }},
		{name: "write to a nested directory after the host has replaced it", part: nestedReplaced, escaped: changed("work/ro/file"),
			try:    func(w *world) error { return errors.Join(w.await(), write("ro/file")) },
			during: func(t testing.TB, w *world) { w.swap(t, "work/ro", "file", original) }},
		{name: "replace a nested directory", part: nested, escaped: changed("work/ro/file"),
			try: func(w *world) error {
				return errors.Join(os.Rename("ro", "old"), os.Mkdir("ro", 0o755), os.WriteFile("ro/file", nil, 0o644))
			}},
		{name: "replace the parent of a nested directory", part: nestedParent, escaped: changed("work/p/ro/file"),
			try: func(w *world) error {
				return errors.Join(os.Rename("p", "old"), os.MkdirAll("p/ro", 0o755), os.WriteFile("p/ro/file", nil, 0o644))
			}},
		{name: "exchange the parent of a nested directory", part: nestedParent, escaped: changed("work/p/ro/file"),
			try: func(w *world) error {
				return errors.Join(os.MkdirAll("q/ro", 0o755), os.WriteFile("q/ro/file", nil, 0o644),
					unix.Renameat2(unix.AT_FDCWD, "p", unix.AT_FDCWD, "q", unix.RENAME_EXCHANGE))
			}},
		{name: "read below a hidden directory that the start makes", part: nested, escaped: leaked,
			rules: func(w *world) {
				w.config.Files = append(w.config.Files,
					sandbox.Rule{Path: w.Work + "/later", Access: sandbox.None, Missing: sandbox.Create})
			},
			try: func(w *world) error { return errors.Join(w.await(), read("later/secret")) },
			during: func(t testing.TB, w *world) {
				_ = os.Mkdir(w.Work+"/later", 0o755)
				w.make(t, "work/later/secret", w.secret)
			}},
	}
}

func (w *world) hide(name string) { w.rule(name, sandbox.None) }

func (w *world) protect(name string) { w.rule(name, sandbox.Read) }

func (w *world) rule(name string, access sandbox.Access) {
	w.config.Files = append(w.config.Files, sandbox.Rule{Path: w.path(name), Access: access, Missing: sandbox.Refuse})
}

// swap replaces a directory by another one, which has a file.
func (w *world) swap(t testing.TB, name, file, text string) {
	t.Helper()
	path := w.path(name)
	if err := errors.Join(os.Rename(path, path+".old"), os.Mkdir(path, 0o755), w.own(path)); err != nil {
		t.Fatal(err)
	}
	w.make(t, filepath.Join(name, file), text)
}
