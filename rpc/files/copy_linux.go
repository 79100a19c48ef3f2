package files

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// copy copies a file, a symbolic link or a directory.
func (t *task) copy(source, destination Path, recursive bool) error {
	e, err := t.resolve(source, false)
	if err != nil {
		return err
	}
	defer e.close()
	if err := t.view.need(e.path, sandbox.Read); err != nil {
		return of(source.Name, err)
	}
	if err := e.needExists(); err != nil {
		return of(source.Name, err)
	}
	// The path that was checked is opened, not that of the request, which may lead elsewhere by now.
	found := Path{Name: e.path, NoFollow: true}
	switch e.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return of(source.Name, t.copyFile(found, source, destination))
	case unix.S_IFLNK:
		return t.copyLink(e, source, destination)
	case unix.S_IFDIR:
		if !recursive {
			return of(source.Name, &Error{Kind: ErrIsDirectory, Detail: "a directory is copied only recursively"})
		}
		return t.copyTree(e, source, destination)
	}
	return of(source.Name, &Error{Kind: ErrNotRegular, Detail: "only regular files, directories and symbolic links are copied"})
}

// copyFile copies a regular file.
func (t *task) copyFile(found, source, destination Path) error {
	from, st, err := t.openStat(found)
	if err != nil {
		return of(source.Name, unlocated(err))
	}
	defer from.Close()
	to, err := t.createFor(destination, &st)
	if err != nil {
		return err
	}
	return of(destination.Name, t.transfer(from, to))
}

// transfer copies the content of a file, and closes the new one.
func (t *task) transfer(from, to *os.File) error {
	err := t.transferAll(from, to)
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	return failure("", err)
}

func (t *task) transferAll(from, to *os.File) error {
	for left := t.maxFile; ; {
		if err := t.check(); err != nil {
			return err
		}
		t.pool.o.hook("copy", "")
		if left == 0 { // the file may end here
			if n, err := from.Read(make([]byte, 1)); n > 0 {
				return fileTooLarge("", t.maxFile)
			} else if err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
		n, err := io.CopyN(to, from, min(copyBytes, left))
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		left -= n
	}
}

// copyLink makes a symbolic link with the target of another one.
func (t *task) copyLink(e *entry, source, destination Path) error {
	target, err := linkTarget(e.dir.fd, e.name)
	if err != nil {
		return of(source.Name, failure("", err))
	}
	to, err := t.resolve(destination, false)
	if err != nil {
		return err
	}
	defer to.close()
	if err := t.view.needEntry(to.dir.path, to.path); err != nil {
		return of(destination.Name, err)
	}
	if err := t.needChangeable(to); err != nil {
		return of(destination.Name, err)
	}
	if to.exists {
		return of(destination.Name, &Error{Kind: ErrExists, Errno: unix.EEXIST})
	}
	return of(destination.Name, failure("", unix.Symlinkat(target, to.dir.fd, to.name)))
}

func linkTarget(dir int, name string) (string, error) {
	b := make([]byte, MaxPathBytes+1)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// copyTree copies a directory.
func (t *task) copyTree(e *entry, source, destination Path) error {
	if err := t.needOutside(e.path, destination); err != nil {
		return err
	}
	from, err := openDirectoryEntry(e)
	if err != nil {
		return of(source.Name, err)
	}
	defer from.Close()
	if proc, err := isProc(int(from.Fd())); err != nil || proc {
		return of(source.Name, errInProc)
	}
	if err := t.createAll(destination); err != nil {
		return err
	}
	to, at, err := t.openDestination(e.path, destination)
	if err != nil {
		return err
	}
	defer to.Close()
	c := &copying{
		tree: tree{task: t, path: e.path, base: from, pending: []string{""}},
		to:   tree{task: t, path: at, base: to},
	}
	for len(c.pending) > 0 {
		rel := c.top()
		c.pop()
		if err := c.directory(rel); err != nil {
			return of(source.Name, failure("", err))
		}
	}
	return nil
}

// needOutside returns an *Error if a path is a directory or in it. What does not exist yet is where its
// name says.
func (t *task) needOutside(dir string, p Path) error {
	names := components(p.Name)
	for n := len(names); n >= 0; n-- {
		prefix := p.prefix(names[:n])
		if n == 0 {
			prefix.Name = "/"
		}
		e, err := t.resolve(prefix, true)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return of(p.Name, unlocated(err))
		}
		e.close()
		if sandbox.Below(e.path, dir) {
			return of(p.Name, &Error{Kind: ErrInvalid, Detail: "a directory cannot be copied to itself or into itself"})
		}
		return nil
	}
	return nil
}

// openDestination opens the directory into which one is copied. Since needOutside, it may have become
// one that is in the source.
func (t *task) openDestination(source string, destination Path) (*os.File, string, error) {
	d, e, err := t.openDirectory(destination)
	if err != nil {
		return nil, "", err
	}
	defer e.close()
	if sandbox.Below(e.path, source) {
		err = &Error{Kind: ErrInvalid, Detail: "a directory cannot be copied to itself or into itself"}
	} else if err = t.view.need(e.path, sandbox.Write); err == nil {
		err = t.needChangeable(e)
	}
	if err != nil {
		_ = d.Close()
		return nil, "", of(destination.Name, err)
	}
	return d, e.path, nil
}

// copying is the copy of a tree to another one.
type copying struct {
	tree
	to tree
}

// directory copies the entries of a directory, but not what is in the directories among them.
func (c *copying) directory(rel string) error {
	from, err := c.open(rel, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	if proc, err := isProc(int(from.Fd())); err != nil || proc {
		return errInProc
	}
	to, err := c.to.open(rel, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := c.task.needChangeableDirectory(to); err != nil {
		return err
	}
	for {
		names, err := readNames(from, batchEntries)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := c.entry(int(from.Fd()), int(to.Fd()), rel, name); err != nil {
				return err
			}
		}
	}
}

// entry copies an entry.
func (c *copying) entry(from, to int, rel, name string) error {
	if err := c.counted(); err != nil {
		return err
	}
	inner := below(rel, name)
	if err := c.task.view.need(join(c.path, inner), sandbox.Read); err != nil {
		return err
	}
	if err := c.task.view.needEntry(join(c.to.path, rel), join(c.to.path, inner)); err != nil {
		return err
	}
	c.task.pool.o.hook("copy", join(c.path, inner))
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(to, name, 0o777); err != nil && err != unix.EEXIST {
			return err
		}
		if !c.push(inner) {
			return tooLarge("", "it has too many directories")
		}
	case unix.S_IFLNK:
		target, err := linkTarget(from, name)
		if err != nil {
			return err
		}
		return unix.Symlinkat(target, to, name)
	case unix.S_IFREG:
		return c.file(from, to, name)
	}
	return nil
}

// file copies a regular file of a directory.
func (c *copying) file(from, to int, name string) error {
	fd, st, err := openEntry(from, name, unix.O_RDONLY)
	if err != nil {
		return err
	}
	source := os.NewFile(uintptr(fd), name)
	defer source.Close()
	if c.task.view.isHidden(&st) {
		return errHidden
	}
	return c.task.retry(func() error {
		var there unix.Stat_t
		err := unix.Fstatat(to, name, &there, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && err != unix.ENOENT {
			return err
		}
		if err == nil && there.Mode&unix.S_IFMT == unix.S_IFLNK {
			return &Error{Kind: ErrSymlink, Detail: "the destination of a file in a directory is a symbolic link"}
		}
		if err == nil {
			if err := needRegular(&there); err != nil {
				return err
			}
		}
		fd, err := c.task.createEntry(to, name, err == nil, &st)
		if err != nil {
			return err
		}
		return c.task.transfer(source, os.NewFile(uintptr(fd), name))
	})
}
