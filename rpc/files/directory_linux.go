package files

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// readDirectory lists a directory. What a symbolic link leads to is described; what cannot be is left
// out, as in Codex's server.
func (t *task) readDirectory(p Path) ([]DirectoryEntry, error) {
	d, e, err := t.openDirectory(p)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	defer e.close()
	limit := t.pool.o.listed
	names, err := t.names(d, limit)
	if err != nil {
		return nil, of(p.Name, err)
	}
	if len(names) > limit {
		return nil, tooLarge(p.Name, "at most %d entries are listed", limit)
	}
	size := 0
	for _, name := range names {
		size += len(name)
	}
	if size > t.pool.o.listedBytes {
		return nil, tooLarge(p.Name, "names of at most %d bytes together are listed", t.pool.o.listedBytes)
	}
	entries := make([]DirectoryEntry, 0, len(names))
	for _, name := range names {
		if err := t.check(); err != nil {
			return nil, of(p.Name, err)
		}
		if st, err := t.statEntry(d, e.path, name); err == nil {
			kind := st.Mode & unix.S_IFMT
			entries = append(entries, DirectoryEntry{Name: name, Directory: kind == unix.S_IFDIR, Regular: kind == unix.S_IFREG})
		}
	}
	return entries, nil
}

// names returns the names in a directory, sorted: all of them, or more than limit.
func (t *task) names(d *os.File, limit int) (all []string, err error) {
	for len(all) <= limit {
		if err := t.check(); err != nil {
			return nil, err
		}
		names, err := readNames(d, batchEntries)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			break
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return all, nil
}

// statEntry returns the status of an entry, or of what it leads to if it is a symbolic link.
func (t *task) statEntry(d *os.File, dir, name string) (st unix.Stat_t, err error) {
	path := join(dir, name)
	if err := t.view.look(path); err != nil {
		return st, err
	}
	if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, failure("", err)
	}
	if t.view.isHidden(&st) {
		return st, errHidden
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return st, nil
	}
	e, err := t.resolve(Path{Name: path}, true)
	if err != nil {
		return st, err
	}
	defer e.close()
	return e.st, e.needExists()
}

// createDirectory makes a directory.
func (t *task) createDirectory(p Path, recursive bool) error {
	if recursive {
		return t.createAll(p)
	}
	e, err := t.resolve(p, false)
	if err != nil {
		return err
	}
	defer e.close()
	return of(p.Name, t.createDirectoryEntry(e))
}

// createDirectoryEntry makes a directory at an entry.
func (t *task) createDirectoryEntry(e *entry) error {
	if e.exists {
		return &Error{Kind: ErrExists, Errno: unix.EEXIST}
	}
	if err := t.view.needEntry(e.dir.path, e.path); err != nil {
		return err
	}
	if err := t.needChangeable(e); err != nil {
		return err
	}
	t.pool.o.hook("create", e.path)
	return failure("", unix.Mkdirat(e.dir.fd, e.name, 0o777))
}

// createAll makes a directory and those above it that do not exist. It is no error if it exists.
func (t *task) createAll(p Path) error {
	names := components(p.Name)
	existing := len(names) // how many of them are known to lead to something
	for ; existing > 0; existing-- {
		err := t.isDirectory(p.prefix(names[:existing]))
		if err == nil {
			break
		}
		if !errors.Is(err, ErrNotFound) {
			return of(p.Name, err)
		}
	}
	for n := existing + 1; n <= len(names); n++ {
		if err := t.createOne(p.prefix(names[:n])); err != nil {
			return of(p.Name, err)
		}
	}
	return nil
}

// prefix returns the path of the first components.
func (p Path) prefix(names []string) Path {
	path := ""
	for _, name := range names {
		path += "/" + name
	}
	return Path{Name: path, NoFollow: p.NoFollow}
}

// isDirectory returns nil if a path leads to a directory, ErrNotFound if to nothing, and ErrExists if
// to something else. Its errors have no path.
func (t *task) isDirectory(p Path) error {
	e, err := t.resolve(p, true)
	if err != nil {
		return unlocated(err)
	}
	defer e.close()
	switch {
	case e.is(unix.S_IFDIR):
		return nil
	case e.exists || e.link:
		return &Error{Kind: ErrExists, Errno: unix.EEXIST}
	}
	return &Error{Kind: ErrNotFound, Errno: unix.ENOENT}
}

// createOne makes a directory, unless another process has made it meanwhile.
func (t *task) createOne(p Path) error {
	e, err := t.resolve(p, true)
	if err != nil {
		return unlocated(err)
	}
	defer e.close()
	if err = t.createDirectoryEntry(e); err == nil {
		return nil
	}
	if errors.Is(err, ErrExists) {
		return t.isDirectory(p)
	}
	return err
}

// unlocated returns an error without its path, which is a part of that of the request.
func unlocated(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		bare := *e
		bare.Path = ""
		return &bare
	}
	return err
}
