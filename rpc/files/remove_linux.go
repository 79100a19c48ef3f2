package files

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// remove removes what is at a path.
func (t *task) remove(p Path, options RemoveOptions) error {
	err := t.retry(func() error {
		e, err := t.resolve(p, false)
		if err != nil {
			return err
		}
		defer e.close()
		return t.removeEntry(e, options)
	})
	err = of(p.Name, err)
	if options.Force && errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (t *task) removeEntry(e *entry, options RemoveOptions) error {
	if err := t.view.needEntry(e.dir.path, e.path); err != nil {
		return err
	}
	if e.name == "" {
		return &Error{Kind: ErrInvalid, Detail: "the root directory cannot be removed"}
	}
	if err := e.needExists(); err != nil {
		return err
	}
	if err := t.needChangeable(e); err != nil {
		return err
	}
	if err := t.view.needTree(e.path); err != nil { // of a symbolic link, too: a path may lead through it
		return err
	}
	t.pool.o.hook("remove", e.path)
	if !e.is(unix.S_IFDIR) {
		return removed(unix.Unlinkat(e.dir.fd, e.name, 0))
	}
	if options.Recursive {
		return t.removeTree(e)
	}
	return removed(unix.Unlinkat(e.dir.fd, e.name, unix.AT_REMOVEDIR))
}

// removed returns the error of a removal: the entry may have become a directory, or none.
func removed(err error) error {
	if err == unix.EISDIR || err == unix.ENOTDIR {
		return errExchanged
	}
	return failure("", err)
}

// removeTree removes a directory and all in it, directories after what is in them.
func (t *task) removeTree(e *entry) error {
	base, err := openDirectoryEntry(e)
	if err != nil {
		return err
	}
	defer base.Close()
	r := &removal{tree{task: t, path: e.path, base: base, pending: []string{""}}}
	for len(r.pending) > 0 {
		if err := t.check(); err != nil {
			return err
		}
		rel := r.top()
		t.pool.o.hook("remove", join(e.path, rel))
		empty, err := r.clear(rel)
		switch {
		case rel != "" && (err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP):
			r.pop() // it was exchanged: what is there now is removed with the directory above it
			continue
		case err != nil:
			return failure("", err)
		case !empty:
			continue
		}
		r.pop()
		if rel == "" {
			break
		}
		if err := r.removeDirectory(rel); err != nil {
			return err
		}
	}
	return removed(unix.Unlinkat(e.dir.fd, e.name, unix.AT_REMOVEDIR))
}

// removal is the removal of a tree.
type removal struct{ tree }

// clear removes the files of a directory, at most batchEntries, and makes the directories in it
// pending. It returns true if the directory is empty.
func (r *removal) clear(rel string) (empty bool, err error) {
	d, err := r.open(rel, unix.RESOLVE_NO_XDEV)
	if err == unix.EXDEV {
		return false, &Error{Kind: ErrBusy, Errno: unix.EXDEV, Detail: "another file system is mounted in it"}
	}
	if err != nil {
		return false, err
	}
	defer d.Close()
	if err := r.task.needChangeableDirectory(d); err != nil {
		return false, err
	}
	names, err := readNames(d, batchEntries)
	if err != nil || len(names) == 0 {
		return err == nil, err
	}
	for _, name := range names {
		if err := r.entry(d, rel, name); err != nil {
			return false, err
		}
	}
	return false, nil
}

// entry removes an entry of a directory, or makes it pending.
func (r *removal) entry(d *os.File, rel, name string) error {
	if err := r.counted(); err != nil {
		return err
	}
	if err := r.task.view.need(join(r.path, below(rel, name)), sandbox.Write); err != nil {
		return err
	}
	if len(r.task.view.readOnly) > 0 {
		var st unix.Stat_t
		if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && r.task.view.isReadOnly(&st) {
			return errReadOnly
		}
	}
	err := unix.Unlinkat(int(d.Fd()), name, 0)
	if err == unix.EISDIR || err == unix.EPERM {
		var st unix.Stat_t
		if statErr := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); statErr == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			r.push(below(rel, name)) // if there is no room, it is found again
			return nil
		}
	}
	if err == unix.ENOENT {
		return nil
	}
	return failure("", err)
}

// removeDirectory removes an empty directory of the tree. If something was made in it meanwhile, it is
// found again in the directory above it.
func (r *removal) removeDirectory(rel string) error {
	dir := path.Dir(rel)
	if dir == "." {
		dir = ""
	}
	d, err := r.open(dir, unix.RESOLVE_NO_XDEV)
	if err == nil {
		err = unix.Unlinkat(int(d.Fd()), path.Base(rel), unix.AT_REMOVEDIR)
		_ = d.Close()
	}
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENOTEMPTY:
		return nil
	}
	return failure("", err)
}
