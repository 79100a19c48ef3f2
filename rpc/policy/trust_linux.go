package policy

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may have, as in path_resolution(7).
const maxLinks = 40

// fileID identifies a file.
type fileID struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino} }

// resolvedFile is a file at a path.
type resolvedFile struct {
	path string // without symbolic links
	id   fileID
	weak string // why the path is not trusted; "" if it is
}

// resolve follows a path from the root directory, one component at a time, and checks each
// directory and symbolic link on it.
func (t *trust) resolve(file string) (resolvedFile, error) {
	w := walk{trust: t, rest: components(file)}
	defer w.close()
	if err := w.enter(unix.AT_FDCWD, "/"); err != nil {
		return resolvedFile{}, err
	}
	for len(w.rest) > 0 {
		name := w.rest[0]
		w.rest = w.rest[1:]
		done, err := w.step(name)
		if err != nil {
			return resolvedFile{}, &os.PathError{Op: "open", Path: file, Err: err}
		}
		if done {
			return w.found, nil
		}
	}
	return resolvedFile{}, &os.PathError{Op: "open", Path: file, Err: unix.EISDIR}
}

// walk is a resolution that is in progress.
type walk struct {
	trust *trust
	dirs  []int    // the directories from the root to the present one, open
	names []string // of dirs, without the root
	open  bool     // others may create files in the present directory, which is sticky
	rest  []string
	links int
	weak  string
	found resolvedFile
}

func components(file string) []string {
	return slices.DeleteFunc(strings.Split(file, "/"), func(name string) bool { return name == "" || name == "." })
}

func (w *walk) close() {
	for _, fd := range w.dirs {
		_ = unix.Close(fd)
	}
}

// enter opens a directory and makes it the present one.
func (w *walk) enter(at int, name string) error {
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.dirs = append(w.dirs, fd)
	return w.present()
}

// present checks the present directory.
func (w *walk) present() error {
	var st unix.Stat_t
	if err := unix.Fstat(w.dirs[len(w.dirs)-1], &st); err != nil {
		return err
	}
	weak, open := w.trust.weakness(&st)
	if open && st.Mode&unix.S_ISVTX != 0 {
		weak = w.trust.owner(&st) // others may create files, but not rename those of the trusted
	} else {
		open = false
	}
	w.open = open
	w.blame(weak, "/"+path.Join(w.names...))
	return nil
}

func (w *walk) blame(weak, file string) {
	if w.weak == "" && weak != "" {
		w.weak = fmt.Sprintf("%s %s", file, weak)
	}
}

// step follows one component. done is true if it is a file that ends the path.
func (w *walk) step(name string) (done bool, err error) {
	if name == ".." {
		if n := len(w.dirs); n > 1 {
			_ = unix.Close(w.dirs[n-1])
			w.dirs, w.names = w.dirs[:n-1], w.names[:n-2]
		}
		return false, w.present()
	}
	dir := w.dirs[len(w.dirs)-1]
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		w.dirs, w.names = append(w.dirs, fd), append(w.names, name)
		return false, w.present()
	}
	defer unix.Close(fd)
	file := "/" + path.Join(append(slices.Clone(w.names), name)...)
	if w.open {
		w.blame("is in a directory in which all users may create files", file)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		w.blame(w.trust.owner(&st), file)
		return false, w.follow(fd)
	}
	if len(w.rest) > 0 {
		return false, unix.ENOTDIR
	}
	weak, _ := w.trust.weakness(&st)
	w.blame(weak, file)
	w.found = resolvedFile{file, idOf(&st), w.weak}
	return true, nil
}

// follow continues with the target of a symbolic link.
func (w *walk) follow(fd int) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	var b [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", b[:])
	if err != nil {
		return err
	}
	target := string(b[:n])
	if strings.HasPrefix(target, "/") {
		for _, fd := range w.dirs[1:] {
			_ = unix.Close(fd)
		}
		w.dirs, w.names = w.dirs[:1], nil
		if err := w.present(); err != nil {
			return err
		}
	}
	w.rest = append(components(target), w.rest...)
	if len(w.rest) > unix.PathMax {
		return unix.ENAMETOOLONG
	}
	return nil
}

// owner returns why the owner of a file is not trusted, or "".
func (t *trust) owner(st *unix.Stat_t) string {
	if !slices.Contains(t.owners, int(st.Uid)) {
		return fmt.Sprintf("belongs to the user %d", st.Uid)
	}
	return ""
}

// weakness returns why a file or directory is not trusted, or "". open is set if everybody may
// write.
func (t *trust) weakness(st *unix.Stat_t) (weak string, open bool) {
	switch {
	case st.Mode&unix.S_IWOTH != 0:
		return "may be written to by all users", true
	case t.owner(st) != "":
		return t.owner(st), false
	case st.Mode&unix.S_IWGRP != 0 && slices.Contains(t.groups, st.Gid):
		return fmt.Sprintf("may be written to by the group %d", st.Gid), false
	}
	return "", false
}

// openDirectory returns the path of a directory without symbolic links, and its id. flags are those
// of openat2(2).
func openDirectory(dir string, flags uint64) (real string, id fileID, err error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: flags})
	if err != nil {
		return "", id, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", id, err
	}
	real, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return real, idOf(&st), err
}

// describe returns why a path is not trusted, or "", and the path without symbolic links.
func (t *trust) describe(file string) (weak, real string, err error) {
	found, err := t.resolve(file)
	return found.weak, found.path, err
}
