package files

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// errExchanged means that an entry was exchanged between two system calls, and may be tried again.
var errExchanged error = &Error{Kind: ErrBusy, Detail: "it was exchanged while it was opened"}

// retry calls f again as long as it returns errExchanged, at most maxAttempts times.
func (t *task) retry(f func() error) (err error) {
	for range maxAttempts {
		if err = f(); err != errExchanged {
			return err
		}
		if err := t.check(); err != nil {
			return err
		}
	}
	return err
}

// needRegular returns an *Error unless an entry is a regular file.
func needRegular(st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return &Error{Kind: ErrIsDirectory, Errno: unix.EISDIR}
	}
	return &Error{Kind: ErrNotRegular}
}

// openEntry opens an entry that was found to be a regular file.
func openEntry(dir int, name string, flags int) (int, unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := openAt(dir, name, flags)
	if err == unix.ELOOP || err == unix.ENOENT || err == unix.ENXIO || err == unix.EISDIR {
		return -1, st, errExchanged
	}
	if err != nil {
		return -1, st, failure("", err)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, st, failure("", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return -1, st, errExchanged
	}
	return fd, st, nil
}

// open opens a regular file for reading.
func (t *task) open(p Path) (*os.File, error) {
	f, _, err := t.openStat(p)
	return f, err
}

func (t *task) openStat(p Path) (f *os.File, st unix.Stat_t, err error) {
	err = t.retry(func() error {
		e, err := t.resolve(p, true)
		if err != nil {
			return err
		}
		defer e.close()
		if err := t.view.need(e.path, sandbox.Read); err != nil {
			return err
		}
		if err := e.needExists(); err != nil {
			return err
		}
		if err := needRegular(&e.st); err != nil {
			return err
		}
		t.pool.o.hook("open", e.path)
		fd, opened, err := openEntry(e.dir.fd, e.name, unix.O_RDONLY)
		if err != nil {
			return err
		}
		if t.view.isHidden(&opened) {
			_ = unix.Close(fd)
			return errHidden
		}
		f, st = os.NewFile(uintptr(fd), p.Name), opened
		return nil
	})
	return f, st, of(p.Name, err)
}

// create opens a regular file for writing, and truncates or makes it. A file that is a symbolic link to
// nothing is made where the link leads.
func (t *task) create(p Path) (*os.File, error) { return t.createFor(p, nil) }

// createFor is create for the copy of a file, which must be another one. Its permissions become those
// of the source.
func (t *task) createFor(p Path, source *unix.Stat_t) (f *os.File, err error) {
	err = t.retry(func() error {
		e, err := t.resolve(p, true)
		if err != nil {
			return err
		}
		defer e.close()
		if e.exists {
			err = t.view.need(e.path, sandbox.Write)
		} else {
			err = t.view.needEntry(e.dir.path, e.path)
		}
		if err == nil && e.exists {
			err = needRegular(&e.st)
		}
		if err == nil {
			err = t.needChangeable(e)
		}
		if err != nil {
			return err
		}
		t.pool.o.hook("create", e.path)
		fd, err := t.createEntry(e.dir.fd, e.name, e.exists, source)
		if err == nil {
			f = os.NewFile(uintptr(fd), p.Name)
		}
		return err
	})
	return f, of(p.Name, err)
}

// createEntry opens an entry that exists, or makes it.
func (t *task) createEntry(dir int, name string, exists bool, source *unix.Stat_t) (int, error) {
	if !exists {
		fd, err := openAt(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
		if err == unix.EEXIST {
			return -1, errExchanged
		}
		if err != nil {
			return -1, failure("", err)
		}
		return withMode(fd, source)
	}
	fd, st, err := openEntry(dir, name, unix.O_WRONLY)
	if err != nil {
		return -1, err
	}
	if t.view.isHidden(&st) {
		_ = unix.Close(fd)
		return -1, errHidden
	}
	if t.view.isReadOnly(&st) {
		_ = unix.Close(fd)
		return -1, errReadOnly
	}
	if source != nil && st.Dev == source.Dev && st.Ino == source.Ino {
		_ = unix.Close(fd)
		return -1, &Error{Kind: ErrInvalid, Detail: "the source and the destination are the same file"}
	}
	if fd, err = withMode(fd, source); err != nil { // before its content is lost
		return -1, err
	}
	if err := unix.Ftruncate(fd, 0); err != nil {
		_ = unix.Close(fd)
		return -1, failure("", err)
	}
	return fd, nil
}

// withMode gives an open file the permissions of another one, without set-user-ID, set-group-ID and
// sticky bits.
func withMode(fd int, source *unix.Stat_t) (int, error) {
	if source == nil {
		return fd, nil
	}
	if err := unix.Fchmod(fd, source.Mode&0o777); err != nil {
		_ = unix.Close(fd)
		return -1, failure("", err)
	}
	return fd, nil
}

// openDirectory opens a directory for reading its names. The entry has its path; both are closed by the
// caller.
func (t *task) openDirectory(p Path) (d *os.File, e *entry, err error) {
	err = t.retry(func() error {
		var err error
		if e, err = t.resolve(p, true); err != nil {
			return err
		}
		if err = t.view.need(e.path, sandbox.Read); err == nil {
			err = e.needExists()
		}
		if err == nil && !e.is(unix.S_IFDIR) {
			err = &Error{Kind: ErrNotDirectory, Errno: unix.ENOTDIR}
		}
		if err == nil {
			t.pool.o.hook("open", e.path)
			d, err = openDirectoryEntry(e)
		}
		if err != nil {
			e.close()
		}
		return err
	})
	return d, e, of(p.Name, err)
}

// openDirectoryEntry opens an entry that was found to be a directory.
func openDirectoryEntry(e *entry) (*os.File, error) {
	name := e.name
	if name == "" {
		name = "."
	}
	fd, err := openAt(e.dir.fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), e.path), nil
	case unix.ELOOP, unix.ENOTDIR, unix.ENOENT:
		return nil, errExchanged
	}
	return nil, failure("", err)
}

// openBeneath opens a file in an open directory by a relative path that has no symbolic link.
func openBeneath(dir int, path string, flags int, resolve uint64) (int, error) {
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	for attempt := 0; ; attempt++ {
		fd, err := unix.Openat2(dir, path, &how)
		if err != unix.EINTR && (err != unix.EAGAIN || attempt >= maxAttempts) { // EAGAIN: a rename meanwhile
			return fd, err
		}
	}
}

// readNames reads up to n names of a directory. At the end it returns none.
func readNames(d *os.File, n int) ([]string, error) {
	names, err := d.Readdirnames(n)
	if len(names) > 0 || err == nil {
		return names, nil
	}
	if err == io.EOF {
		return nil, nil
	}
	return nil, failure("", err)
}
