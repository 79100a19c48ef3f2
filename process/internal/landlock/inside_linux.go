package landlock

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// handledInside is what mounts do not refuse: opening a FIFO for writing, ioctl(2) of a device, and
// connecting to a Unix socket. A mount that cannot be written only protects what is stored in it.
const handledInside = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV |
	unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX | unix.LANDLOCK_ACCESS_FS_REFER

// allowInside gives access to what the mounts make writable. What the mounts refuse below it stays
// refused.
func (r *ruleset) allowInside(c *sandbox.Config, o *Options) error {
	// A ruleset always refuses to move files between directories, unless a rule permits it.
	err := r.allowPath("/", unix.LANDLOCK_ACCESS_FS_REFER, o.open)
	for _, name := range devices {
		err = errors.Join(err, r.allowPath("/dev/"+name, device, o.open))
	}
	// The terminals, and the shared memory, are the sandbox's own.
	for _, path := range []string{"/dev/pts", "/dev/ptmx"} {
		err = errors.Join(err, r.allowPath(path, device, o.open))
	}
	writable := []string{"/dev/shm"}
	if c.Tmp == sandbox.Private {
		writable = append(writable, "/tmp", "/var/tmp")
	}
	if c.Processes == sandbox.Own {
		writable = append(writable, "/proc") // of the PID namespace; bubblewrap covers what is not of processes
	}
	for _, path := range writable {
		err = errors.Join(err, r.allowPath(path, unix.LANDLOCK_ACCESS_FS_WRITE_FILE, o.open))
	}
	for _, rule := range c.Files {
		if rule.Access == sandbox.Write {
			err = errors.Join(err, r.allowPath(rule.Path, unix.LANDLOCK_ACCESS_FS_WRITE_FILE, o.open))
		}
	}
	if errors.Is(err, errTooMany) {
		return &sandbox.NotEnforceableError{Field: string(sandbox.FilesPart), Why: fmt.Sprintf("there are more than %d writable paths", maxRules)}
	}
	return err
}

// allowPath adds a rule for a path, unless it does not exist.
func (r *ruleset) allowPath(path string, access uint64, open func(string) (int, error)) error {
	fd, err := open(path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return pathError(path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return pathError(path, err)
	}
	return r.allow(fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, access)
}

// openPath opens a path with the rights of the caller.
func openPath(path string) (int, error) {
	return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
}

func (o *Options) open(path string) (int, error) {
	if o.Open == nil {
		return openPath(path)
	}
	return o.Open(path)
}

func pathError(path string, err error) error {
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return &sandbox.PathError{Path: path, Err: err}
	}
	return &sandbox.PathError{Path: path, Err: errno}
}
