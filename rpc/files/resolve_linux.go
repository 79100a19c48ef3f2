package files

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// directory is an open directory (O_PATH).
type directory struct {
	fd   int
	path string // without symbolic links, as it was when it was opened
	dev  uint64
	ino  uint64
	proc bool // it is of a proc file system
	// readOnly is set if it is one of Access.ReadOnly, or in one.
	readOnly bool
}

// entry is what a path leads to. The caller closes it.
type entry struct {
	dir    directory
	name   string // in dir; "" if the path leads to dir itself, which is the root
	path   string // without symbolic links
	exists bool
	st     unix.Stat_t // if it exists
	link   bool        // the last component of the request is a symbolic link
}

func (e *entry) close() { _ = unix.Close(e.dir.fd) }

func (e *entry) is(kind uint32) bool { return e.exists && e.st.Mode&unix.S_IFMT == kind }

// needExists returns an *Error if there is nothing.
func (e *entry) needExists() error {
	if !e.exists {
		return &Error{Kind: ErrNotFound, Errno: unix.ENOENT}
	}
	return nil
}

// resolver follows a path, one component at a time, and opens each directory without following a
// symbolic link (O_NOFOLLOW). It follows links itself, by their text: so the kernel follows no magic
// link, and every directory on the way is checked before anything is looked up in it. What is checked
// is the path of an open directory, so exchanging one for a link has no effect.
type resolver struct {
	task      *task
	view      *view // nil permits everything
	noFollow  bool
	cur       directory
	rest      []string
	own       int // how many of rest, the last ones, are of the request
	links     int
	lookups   int
	linkDirs  []string // the directories of the links that were followed
	linkPaths []string // the links
}

// resolve follows a path. If last is not set, a symbolic link that is the last component is not
// followed: the entry is the link. An entry that does not exist is no error if its directory does.
func (t *task) resolve(p Path, last bool) (*entry, error) {
	r := &resolver{task: t, view: t.view, noFollow: p.NoFollow, cur: directory{fd: -1}}
	e, err := r.run(p.Name, last)
	return e, of(p.Name, err)
}

func (r *resolver) run(path string, last bool) (*entry, error) {
	r.rest = components(path)
	r.own = len(r.rest)
	if err := r.enterRoot(); err != nil {
		return nil, err
	}
	link := false
	for len(r.rest) > 0 {
		if err := r.count(); err != nil {
			return nil, r.fail(err)
		}
		own := len(r.rest) == r.own
		name := r.rest[0]
		if r.rest = r.rest[1:]; own {
			r.own--
		}
		if name == ".." { // of a link
			r.rest = append(components(parent(r.cur.path)), r.rest...)
			if err := r.enterRoot(); err != nil {
				return nil, err
			}
			continue
		}
		e := &entry{dir: r.cur, name: name, path: join(r.cur.path, name)}
		fd, err := r.open(e)
		switch final := len(r.rest) == 0; {
		case err == unix.ENOENT && final:
			e.link = link
			return e, nil
		case err != nil:
			return nil, r.fail(failure("", err))
		case e.is(unix.S_IFLNK):
			if own && final {
				link = true
			}
			if final && !last {
				_ = unix.Close(fd)
				e.link = link
				return e, nil
			}
			if err := r.follow(fd, e); err != nil {
				return nil, r.fail(err)
			}
		case final:
			_ = unix.Close(fd)
			e.link = link
			return e, nil
		default:
			if err := r.enter(fd, e); err != nil {
				return nil, r.fail(failure("", err))
			}
		}
	}
	return &entry{dir: r.cur, path: r.cur.path, exists: true, st: unix.Stat_t{Mode: unix.S_IFDIR, Dev: r.cur.dev, Ino: r.cur.ino}, link: link}, nil
}

// count bounds the lookups, and ends them with the operation.
func (r *resolver) count() error {
	if r.lookups++; r.lookups > maxLookups {
		return &Error{Kind: ErrSymlink, Errno: unix.ELOOP, Detail: "its symbolic links lead through too many names"}
	}
	return r.task.check()
}

// fail closes the present directory.
func (r *resolver) fail(err error) error {
	_ = unix.Close(r.cur.fd)
	r.cur.fd = -1
	return err
}

// open opens an entry (O_PATH), if the view permits to know of it.
func (r *resolver) open(e *entry) (fd int, err error) {
	if err := r.view.look(e.path); err != nil {
		return -1, err
	}
	r.task.pool.o.hook("lookup", e.path)
	fd, err = openAt(e.dir.fd, e.name, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	if err = unix.Fstat(fd, &e.st); err == nil && e.dir.proc && isOwnProcess(&e.dir, e.name) {
		err = &Error{Kind: ErrForbidden, Rule: "the server", Detail: "it is a file of the server's own process"}
	}
	if err == nil && r.view.isHidden(&e.st) {
		err = errHidden
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	e.exists = true
	return fd, nil
}

// procRoot is the inode of the root of a proc file system (PROC_ROOT_INO of Linux).
const procRoot = 1

// isOwnProcess reports whether an entry of /proc, which is open, is of a thread of this process. Each
// thread has a directory there, which is not listed. If the thread has ended since it was opened, the
// directory is useless.
func isOwnProcess(dir *directory, name string) bool {
	if _, err := strconv.ParseUint(name, 10, 32); err != nil || dir.ino != procRoot {
		return false
	}
	var st unix.Stat_t
	return unix.Fstatat(unix.AT_FDCWD, "/proc/self/task/"+name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// follow puts the target of a symbolic link before the rest of the path. It closes the link.
func (r *resolver) follow(fd int, e *entry) error {
	defer unix.Close(fd)
	switch {
	case r.noFollow:
		return &Error{Kind: ErrSymlink}
	case e.dir.proc: // it would be one of the server, or lead to whatever a process has open
		return &Error{Kind: ErrSymlink, Detail: "links in /proc are not followed"}
	}
	target, err := readLink(fd)
	if err != nil {
		return failure("", err)
	}
	if r.links++; r.links > maxLinks {
		return &Error{Kind: ErrSymlink, Errno: unix.ELOOP, Detail: "it leads through too many symbolic links"}
	}
	r.linkDirs = append(r.linkDirs, e.dir.path)
	r.linkPaths = append(r.linkPaths, e.path)
	names := components(target)
	if len(names) > maxLookups {
		return &Error{Kind: ErrSymlink, Errno: unix.ELOOP}
	}
	r.rest = append(names, r.rest...)
	if target[0] == '/' {
		return r.enterRoot()
	}
	return nil
}

// enterRoot makes the root the present directory. After an error there is none.
func (r *resolver) enterRoot() error {
	if r.cur.fd >= 0 {
		_ = unix.Close(r.cur.fd)
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		r.cur.fd = -1
		return failure("", err)
	}
	r.cur = directory{fd: fd, path: "/"}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return r.fail(failure("", err))
	}
	r.cur.dev, r.cur.ino = st.Dev, st.Ino
	return nil
}

// enter makes a directory the present one. It takes over fd.
func (r *resolver) enter(fd int, e *entry) error {
	if !e.is(unix.S_IFDIR) {
		_ = unix.Close(fd)
		return unix.ENOTDIR
	}
	next := directory{fd: fd, path: e.path, dev: e.st.Dev, ino: e.st.Ino, proc: r.cur.proc}
	next.readOnly = r.cur.readOnly || r.task.view.isReadOnly(&e.st)
	if next.dev != r.cur.dev {
		proc, err := isProc(fd)
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		next.proc = proc
	}
	_ = unix.Close(r.cur.fd)
	r.cur = next
	return nil
}

// isProc reports whether an open file is of a proc file system.
func isProc(fd int) (bool, error) {
	var st unix.Statfs_t
	for {
		if err := unix.Fstatfs(fd, &st); err != unix.EINTR {
			return err == nil && st.Type == unix.PROC_SUPER_MAGIC, err
		}
	}
}

// openAt opens an entry of a directory, never a symbolic link unless flags have O_PATH. It does not wait
// for the other end of a FIFO, or for a lease.
func openAt(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0o666)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// readLink returns the target of an open symbolic link. An empty one is not returned: Linux has none.
func readLink(fd int) (string, error) {
	b := make([]byte, MaxPathBytes+1)
	n, err := unix.Readlinkat(fd, "", b)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}
