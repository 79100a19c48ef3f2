package bubblewrap

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// maxBeside bounds the files beside hidden ones that are mounted one by one, in all replicas of a
// sandbox.
const maxBeside = 32

// owner keeps a descriptor until the sandbox is made.
type owner func(fd int, err error) (int, error)

// withReplicas replaces the directories that contain hidden files by replicas: empty directories,
// where all other files are mounted. When somebody outside replaces a hidden file, the kernel removes
// what is mounted on it, but not a replica, where the new file is not visible. Nor is any other file
// that is made later.
//
// A directory is not replaced if the command may write there, if it is the working directory, if it
// has too many files, or if something is mounted in it. list is sorted by the length of the paths.
func (c *Config) withReplicas(ctx context.Context, list []mount, own owner) ([]mount, error) {
	left := maxBeside
	for _, hidden := range slices.Clone(list) {
		if err := ended(ctx, stepPrepare); err != nil {
			return nil, err
		}
		dir := filepath.Dir(hidden.path)
		if hidden.kind != coverFile || !isFile(hidden.path) {
			continue
		}
		above, replaceable := c.replaceable(list, dir)
		if !replaceable {
			continue
		}
		mode, entries := c.entries(&above, list, left, own)
		if mode == 0 {
			continue
		}
		above.kind, above.mode = replica, mode
		list = slices.DeleteFunc(list, func(m mount) bool { return m.path == dir })
		list = append(append(list, above), entries...)
		sortByLength(list)
		left -= len(entries)
	}
	return list, nil
}

// isFile is false for a socket, which the server does not replace.
func isFile(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// replaceable returns the mount at a directory, or one that is equivalent, if it may be replaced by a
// replica.
func (c *Config) replaceable(list []mount, dir string) (at mount, ok bool) {
	if dir == "/" || dir == c.Dir.Path {
		return at, false
	}
	if i := slices.IndexFunc(list, func(m mount) bool { return m.path == dir }); i >= 0 {
		return list[i], list[i].readOnly()
	}
	above := lastAbove(list, dir)
	return mount{path: dir, fd: -1}, above != nil && above.readOnly()
}

// readOnly reports whether a mount shows files of the server that are only readable.
func (m *mount) readOnly() bool { return m.kind == bindRead || m.kind == beside }

// entries returns the mode of a replica of a directory, and the mounts for what is there and in no
// mount of the list. The mode is 0 if there is no replica.
func (c *Config) entries(dir *mount, list []mount, most int, own owner) (mode uint32, entries []mount) {
	file, err := dir.open()
	if err != nil {
		return 0, nil
	}
	defer file.Close()
	if mode = c.replicaMode(int(file.Fd())); mode == 0 {
		return 0, nil
	}
	for {
		found, err := file.ReadDir(most + 1)
		if err == io.EOF {
			return mode, entries
		}
		if err != nil {
			return 0, nil
		}
		for _, e := range found {
			path := filepath.Join(dir.path, e.Name())
			if slices.ContainsFunc(list, func(m mount) bool { return m.path == path }) {
				continue
			}
			if len(entries) == most {
				return 0, nil
			}
			m, err := besideIn(int(file.Fd()), e, path, own)
			if err == unix.EXDEV {
				return 0, nil
			}
			if err == nil { // else it was removed
				entries = append(entries, m)
			}
		}
	}
}

// besideIn returns the mount for an entry of a directory. The error is EXDEV for a mount point, whose
// file system may not answer.
func besideIn(dir int, e fs.DirEntry, path string, own owner) (m mount, err error) {
	if e.Type()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return mount{path: path, kind: symlink, target: target}, err
	}
	fd, err := own(unix.Openat(dir, e.Name(), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0))
	if err != nil {
		return m, err
	}
	var x unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &x)
	switch {
	case err != nil:
	case x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0:
		err = unix.EXDEV
	case x.Mode&unix.S_IFMT == unix.S_IFLNK: // since it was listed
		err = unix.ELOOP
	}
	return mount{path: path, kind: beside, fd: fd}, err
}

// open opens a directory in order to list it: what a rule has opened, or the path.
func (m *mount) open() (*os.File, error) {
	at, path := m.fd, "."
	if at < 0 {
		at, path = unix.AT_FDCWD, m.path
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(at, path, &how)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), m.path), nil
}

// replicaMode returns the mode of a replica of a directory, 0 if there is none that permits the same:
// a replica belongs to this process.
func (c *Config) replicaMode(dir int) uint32 {
	const everybody, owner, notOwner = 0o055, 0o700, 0o077
	var st unix.Stat_t
	if unix.Fstat(dir, &st) != nil {
		return 0
	}
	_, err := unix.Fgetxattr(dir, "system.posix_acl_access", nil)
	switch hasList, own := err == nil, int(st.Uid) == os.Geteuid(); {
	case !hasList && st.Mode&everybody == everybody:
		return 0o755
	case c.UserNS && os.Geteuid() != 0: // the command has the same user and groups
		if unix.Faccessat(dir, ".", unix.R_OK|unix.X_OK, unix.AT_EACCESS) == nil {
			return owner
		}
	case !hasList && own && (c.UserNS || st.Mode&notOwner == 0):
		return st.Mode & owner
	}
	return 0
}
