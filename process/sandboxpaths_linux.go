package process

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// maxLinks is how many symbolic links a path may have, as in the kernel (path_resolution(7)).
const maxLinks = 40

// finder finds what the paths of rules lead to, with the rights of this process.
type finder struct{ all map[string]sandbox.Found }

// find finds a path once, whoever changes links meanwhile.
func (f *finder) find(path string) sandbox.Found {
	result, ok := f.all[path]
	if !ok {
		w := walk{fd: -1}
		w.run(path)
		result = w.found()
		w.close()
		f.all[path] = result
	}
	return result
}

// walk is the resolution of one path.
type walk struct {
	fd      int      // what was reached, O_PATH; -1 at the beginning and after an error
	missing string   // the name in it that does not exist
	links   []string // the directories of the links that were followed
}

func (w *walk) run(path string) {
	if path[0] == '/' && !w.enter(openPath("/", 0)) {
		return
	}
	todo := strings.Split(path, "/")
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if name == "" || name == "." {
			continue
		}
		if w.missing != "" {
			w.close()
			return
		}
		fd, err := w.open(name)
		if err == unix.ENOENT {
			w.missing = name
			continue
		}
		target, isLink := "", false
		if err == nil {
			target, isLink, err = readLink(fd)
		}
		if !isLink {
			if !w.enter(fd, err) {
				return
			}
			continue
		}
		_ = unix.Close(fd)
		dir := pathOf(w.fd)
		if links++; dir == "" || links > maxLinks || target[0] == '/' && !w.enter(openPath("/", 0)) {
			w.close()
			return
		}
		w.links = append(w.links, dir)
		todo = slices.Concat(strings.Split(target, "/"), todo)
	}
}

// enter replaces what was reached, and reports whether there was no error.
func (w *walk) enter(fd int, err error) bool {
	w.close()
	if err == nil {
		w.fd = fd
	} else if fd >= 0 {
		_ = unix.Close(fd)
	}
	return err == nil
}

func (w *walk) close() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
		w.fd = -1
	}
}

// open opens a file in the directory that was reached, and no symbolic link.
func (w *walk) open(name string) (fd int, err error) {
	for {
		if fd, err = unix.Openat(w.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// readLink returns where a symbolic link leads. Links of procfs, which lead elsewhere than their text
// says, are ELOOP.
func readLink(fd int) (target string, isLink bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", false, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", false, err
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return "", false, unix.ELOOP
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err == nil && n <= 0 {
		err = unix.ENOENT
	}
	return string(buf[:max(n, 0)]), err == nil, err
}

func (w *walk) found() sandbox.Found {
	if w.fd < 0 {
		return sandbox.Found{}
	}
	path := pathOf(w.fd)
	if path == "" {
		return sandbox.Found{}
	}
	return sandbox.Found{Path: filepath.Join(path, w.missing), Links: w.links}
}

// pathOf returns the path of an open file, "" if it has none that leads to it.
func pathOf(fd int) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || !strings.HasPrefix(path, "/") {
		return ""
	}
	var opened, named unix.Stat_t
	if unix.Fstat(fd, &opened) != nil || unix.Lstat(path, &named) != nil || opened.Dev != named.Dev || opened.Ino != named.Ino {
		return ""
	}
	return path
}
