package procfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// MaxPaths bounds the other paths of one file.
const MaxPaths = 64

// ErrPaths means that a file has more than MaxPaths other paths.
var ErrPaths = errors.New("too many mounts show what is not accessible")

// PathOf returns the path at which the mount shows a file of its file system, or "" if it does not.
func (m *Mount) PathOf(file string) string {
	rest, ok := strings.CutPrefix(file, strings.TrimRight(m.Root, "/"))
	if file == "" || !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return ""
	}
	return filepath.Join(m.Point, rest)
}

// MountID returns the ID of the mount that an open file was reached by (Linux 5.8).
func MountID(fd int) (int, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID == 0 {
		err = unix.ENOSYS
	}
	return int(st.Mnt_id), os.NewSyscallError("statx", err)
}

// OtherPaths returns the other paths at which mounts show a file, or a part of a directory, and those of
// the directories that mounts on the way to it cover: a rule of Landlock is for a directory, whatever its
// path, and so for what is mounted below it. Paths that another mount hides are left out. A path that is
// not there, or has symbolic links, has none.
func OtherPaths(mounts []Mount, path string) ([]string, error) {
	paths := []string{path}
	for i := 0; i < len(paths); i++ {
		id, err := mountAt(paths[i], unix.RESOLVE_NO_SYMLINKS)
		if _, isSyscall := errors.AsType[*os.SyscallError](err); isSyscall {
			return nil, err
		} else if err != nil {
			continue
		}
		for at := paths[i]; at != "/"; {
			m, file := locate(mounts, id, at)
			if m == nil {
				break
			}
			for _, other := range shown(mounts, m, file) {
				if !slices.Contains(paths, other) {
					paths = append(paths, other)
				}
			}
			at, id = m.Point, m.Parent
		}
		if len(paths)-1 > MaxPaths {
			return nil, ErrPaths
		}
	}
	return paths[1:], nil
}

// Aliases returns the other paths that an open file has by mounts, also those that another mount hides.
// path is one that it has.
func Aliases(mounts []Mount, fd int, path string) (paths []string, err error) {
	id, err := MountID(fd)
	if err != nil {
		return nil, err
	}
	m, file := locate(mounts, id, path)
	if m == nil {
		return nil, nil
	}
	for i := range mounts {
		other := mounts[i].PathOf(file)
		if mounts[i].Device == m.Device && other != "" && other != path && !slices.Contains(paths, other) {
			paths = append(paths, other)
		}
	}
	return paths, nil
}

// locate returns the mount with an ID, and where in its file system a path of the mount is.
func locate(mounts []Mount, id int, path string) (m *Mount, file string) {
	i := slices.IndexFunc(mounts, func(m Mount) bool { return m.ID == id })
	if i < 0 || !sandbox.Below(path, mounts[i].Point) {
		return nil, ""
	}
	return &mounts[i], filepath.Join(mounts[i].Root, strings.TrimPrefix(path, mounts[i].Point))
}

// shown returns the paths at which mounts but one show a file of its file system, or a part of it.
func shown(mounts []Mount, but *Mount, file string) (paths []string) {
	for i := range mounts {
		m := &mounts[i]
		if m == but || m.Device != but.Device {
			continue
		}
		other := m.PathOf(file)
		if sandbox.Below(m.Root, file) {
			other = m.Point
		}
		if other != "" && m.shows(other) {
			paths = append(paths, other)
		}
	}
	return paths
}

// shows reports whether a path leads to a file of the mount, or may do so: a directory on the way may not
// be searched now.
func (m *Mount) shows(path string) bool {
	id, err := mountAt(path, 0)
	return err == nil && id == m.ID || err == unix.EACCES
}

// mountAt returns the ID of the mount that a path leads to. The last component is not followed. The error
// is that of the open, or an *os.SyscallError.
func mountAt(path string, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolve}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return MountID(fd)
}
