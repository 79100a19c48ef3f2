package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Why the path of a rule cannot be used.
var (
	errNeeded    error = &sandbox.Reason{Errno: unix.ENOTSUP, Text: "it is /, /proc or /dev here, which every command needs"}
	errReadOnly  error = &sandbox.Reason{Errno: unix.EPERM, Text: "nothing in /proc or /sys can be made writable"}
	errProtected error = &sandbox.Reason{Errno: unix.EPERM, Text: "it is a file that no command in a sandbox may change"}
	// The usual cause is a symbolic link that was there in between.
	errReplaced error = &sandbox.Reason{Errno: unix.ELOOP, Text: "it, or a directory above it, was replaced while the sandbox was made"}
)

// NotVisibleError means that a path is not the same file inside the sandbox.
type NotVisibleError struct{ Path string }

func (e *NotVisibleError) Error() string { return e.Path + " is not visible in the sandbox" }

// root is the root directory of a sandbox.
type root int

// open opens a path inside (O_PATH).
func (r root) open(path string, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve}
	for range 16 { // EAGAIN means that a directory was moved meanwhile
		fd, err = unix.Openat2(int(r), path, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			break
		}
	}
	return fd, err
}

// openSame opens a file inside and compares its identity.
func (r root) openSame(f File) (fd int, err error) {
	fd, err = r.open(f.Path, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, &NotVisibleError{f.Path}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Dev != f.Dev || st.Ino != f.Ino {
		_ = unix.Close(fd)
		return -1, &NotVisibleError{f.Path}
	}
	return fd, nil
}

// openDir opens the working directory. If it is /tmp and the sandbox has its own, it is that one.
func (r root) openDir(c *Config) (fd int, err error) {
	if c.Sandbox.Tmp == sandbox.Private && slices.Contains(tmpDirs, c.Dir.Path) {
		return r.open(c.Dir.Path, unix.RESOLVE_NO_SYMLINKS)
	}
	return r.openSame(c.Dir)
}

// openTerminal calls open with the file ptmx of the instance of devpts that bwrap has made. If it is
// that of this process, its terminals are not those of the sandbox alone.
func (r root) openTerminal(open func(ptmx int) error) error {
	var own unix.Stat_t
	_ = unix.Stat(devpts, &own)
	f, err := r.find(devpts)
	if err == nil && (!f.isRoot || f.fs.Type != unix.DEVPTS_SUPER_MAGIC || f.stat.Dev == own.Dev) {
		err = errors.New("bwrap has mounted no instance of devpts of its own")
	}
	var ptmx int
	if err == nil {
		ptmx, err = r.open(devpts+"/ptmx", unix.RESOLVE_NO_SYMLINKS)
	}
	if err != nil {
		return &Error{Step: stepMounts, Err: fmt.Errorf("%s: %w", devpts, err)}
	}
	defer unix.Close(ptmx)
	return open(ptmx)
}

// devpts is where the terminals are (pts(4)).
const devpts = "/dev/pts"

// found is what is mounted at a path inside.
type found struct {
	stat     unix.Stat_t
	fs       unix.Statfs_t
	isRoot   bool // the path is where something is mounted
	readOnly bool
}

func (r root) find(path string) (f found, err error) {
	fd, err := r.open(path, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return f, err
	}
	defer unix.Close(fd)
	if err = unix.Fstat(fd, &f.stat); err != nil {
		return f, err
	}
	if err = unix.Fstatfs(fd, &f.fs); err != nil {
		return f, err
	}
	var x unix.Statx_t
	if err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &x); err != nil {
		return f, err
	}
	if x.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 { // before Linux 5.8
		return f, unix.ENOSYS
	}
	f.isRoot = x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	f.readOnly = f.fs.Flags&unix.ST_RDONLY != 0
	return f, nil
}

// verify checks that bwrap has mounted everything where it was to be, and as it was to be: bwrap
// follows symbolic links in the paths where it mounts. The end of ctx ends it.
func (r root) verify(ctx context.Context, mounts []mount) error {
	for i := range mounts {
		if err := ended(ctx, stepMounts); err != nil {
			return err
		}
		m := &mounts[i]
		if m.kind == symlink || m.kind == directory {
			continue
		}
		f, err := r.find(m.path)
		ok := false
		if err == nil {
			ok, err = m.is(&f)
		}
		if err == nil && !ok {
			err = errReplaced
		}
		switch {
		case err != nil && m.rule:
			return &sandbox.PathError{Path: m.path, Err: err}
		case err != nil:
			return &Error{Step: stepMounts, Err: fmt.Errorf("%s: %w", m.path, err)}
		}
	}
	return nil
}

// is reports whether what was found is the mount.
func (m *mount) is(f *found) (bool, error) {
	if !f.isRoot {
		return false, nil
	}
	switch m.kind {
	case bindRead, bindWrite, anchor, beside:
		if m.readOnly() && !f.readOnly {
			return false, nil
		}
		if m.fd < 0 {
			return true, nil
		}
		var st unix.Stat_t
		err := unix.Fstat(m.fd, &st)
		return st.Dev == f.stat.Dev && st.Ino == f.stat.Ino, err
	case coverFile:
		return f.stat.Mode&unix.S_IFMT == unix.S_IFCHR && f.fs.Flags&unix.ST_NODEV != 0, nil
	case coverDir, replica, devices:
		return f.fs.Type == unix.TMPFS_MAGIC && f.readOnly, nil
	case scratch:
		return f.fs.Type == unix.TMPFS_MAGIC && !f.readOnly, nil
	case processes:
		return f.fs.Type == unix.PROC_SUPER_MAGIC, nil
	case processesRead, outerProc:
		return f.fs.Type == unix.PROC_SUPER_MAGIC && f.readOnly, nil
	}
	return false, nil
}
