package files

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// newView refuses every restriction: this system has none of the calls that enforce one.
func (t *task) newView(a *Access) (*view, error) {
	if a.Restricted || a.Sandbox != nil || len(a.Hidden) > 0 || len(a.ReadOnly) > 0 || a.As != nil {
		return nil, &Error{Kind: ErrUnsupported, Detail: "files can be restricted on Linux only"}
	}
	return &view{}, nil
}

// usable refuses what this system cannot enforce.
func usable(p Path) error {
	if p.NoFollow {
		return &Error{Path: p.Name, Kind: ErrUnsupported, Detail: "not following symbolic links is possible on Linux only"}
	}
	return nil
}

func (t *task) open(p Path) (*os.File, error) { return openRegular(p, os.O_RDONLY) }

func (t *task) create(p Path) (*os.File, error) {
	f, err := openRegular(p, os.O_WRONLY|os.O_CREATE)
	if err == nil {
		err = failure(p.Name, f.Truncate(0))
	}
	return f, err
}

func openRegular(p Path, flags int) (*os.File, error) {
	if err := usable(p); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.Name, flags|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0o666)
	if err != nil {
		return nil, failure(p.Name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &Error{Kind: ErrNotRegular}
		if info.IsDir() {
			err = &Error{Kind: ErrIsDirectory}
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, of(p.Name, failure("", err))
	}
	return f, nil
}

func (t *task) metadata(p Path) (Metadata, error) {
	if err := usable(p); err != nil {
		return Metadata{}, err
	}
	info, err := os.Stat(p.Name)
	if err != nil {
		return Metadata{}, failure(p.Name, err)
	}
	link, err := os.Lstat(p.Name)
	if err != nil {
		return Metadata{}, failure(p.Name, err)
	}
	return Metadata{
		Directory: info.IsDir(), Regular: info.Mode().IsRegular(), Symlink: link.Mode()&os.ModeSymlink != 0,
		Size: info.Size(), Modified: max(0, info.ModTime().UnixMilli()),
	}, nil
}

func (t *task) canonicalize(p Path) (string, error) {
	if err := usable(p); err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(p.Name)
	return path, failure(p.Name, err)
}

func (t *task) readDirectory(p Path) (entries []DirectoryEntry, err error) {
	if err := usable(p); err != nil {
		return nil, err
	}
	all, err := os.ReadDir(p.Name)
	if err != nil {
		return nil, failure(p.Name, err)
	}
	if len(all) > MaxDirectoryEntries {
		return nil, tooLarge(p.Name, "at most %d entries are listed", MaxDirectoryEntries)
	}
	size := 0
	for _, e := range all {
		if size += len(e.Name()); size > t.pool.o.listedBytes {
			return nil, tooLarge(p.Name, "names of at most %d bytes together are listed", t.pool.o.listedBytes)
		}
		if info, err := os.Stat(join(p.Name, e.Name())); err == nil {
			entries = append(entries, DirectoryEntry{Name: e.Name(), Directory: info.IsDir(), Regular: info.Mode().IsRegular()})
		}
	}
	return entries, nil
}

func (t *task) createDirectory(p Path, recursive bool) error {
	if err := usable(p); err != nil {
		return err
	}
	if recursive {
		return failure(p.Name, os.MkdirAll(p.Name, 0o777))
	}
	return failure(p.Name, os.Mkdir(p.Name, 0o777))
}

func (t *task) remove(p Path, options RemoveOptions) error {
	if err := usable(p); err != nil {
		return err
	}
	_, err := os.Lstat(p.Name)
	switch {
	case errors.Is(err, os.ErrNotExist) && options.Force:
		return nil
	case err != nil:
		return failure(p.Name, err)
	case options.Recursive:
		return failure(p.Name, os.RemoveAll(p.Name))
	}
	return failure(p.Name, os.Remove(p.Name))
}

func (t *task) copy(source, _ Path, _ bool) error {
	return &Error{Path: source.Name, Kind: ErrUnsupported, Detail: "files are copied on Linux only"}
}

func (t *task) walk(p Path, _ WalkOptions) (WalkResult, error) {
	return WalkResult{}, &Error{Path: p.Name, Kind: ErrUnsupported, Detail: "directories are walked on Linux only"}
}
