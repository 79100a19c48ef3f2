package execfile

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFiles bounds the files that one exec opens: the kernel follows five interpreters of
	// scripts.
	maxFiles = 7
	// leaseFirst and leaseLast are the first and the longest pause between two attempts to open a
	// leased file.
	leaseFirst = time.Millisecond
	leaseLast  = 50 * time.Millisecond
)

// Pinned are the files that are kept open for one exec: the working directory, the program and its
// interpreters.
type Pinned struct {
	Path     string // of the program
	MayBlock bool   // some files could not be pinned, and the exec may block

	fds     [maxFiles + 1]int
	n       int
	entries [maxFiles]*entry
	m       int
	cache   *Cache
}

func (f *Pinned) addFD(fd int) {
	f.fds[f.n] = fd
	f.n++
}

func (f *Pinned) addEntry(e *entry) {
	f.entries[f.m] = e
	f.m++
}

// Close releases the files.
func (f *Pinned) Close() {
	for _, fd := range f.fds[:f.n] {
		_ = unix.Close(fd)
	}
	for _, e := range f.entries[:f.m] {
		f.cache.put(e)
	}
	f.n, f.m, f.Path = 0, 0, ""
}

// Pin looks the program up and pins its files. It calls waiting with each path before it opens it,
// and with the name of the program once all are pinned.
// It waits for leases until ctx ends. It stops at a file that can be executed but not read, or is
// on a remote file system: MayBlock is then true. The caller closes the result, also after an
// error.
func (c *Cache) Pin(ctx context.Context, p *Program, waiting func(path string)) (f Pinned, err error) {
	f.cache = c
	if f.Path, err = p.lookup(); err != nil {
		return f, err
	}
	dir := unix.AT_FDCWD
	if p.Dir != "" {
		waiting(p.Dir)
		if dir, err = openRetrying(unix.AT_FDCWD, p.Dir, unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return f, err
		}
		f.addFD(dir)
		if f.MayBlock = isRemote(dir); f.MayBlock {
			return f, nil
		}
	}
	path := f.Path
	for range maxFiles {
		waiting(path)
		if path, err = f.pin(ctx, dir, path); err != nil || path == "" || f.MayBlock {
			break
		}
	}
	if err == errNotRegular { // the exec refuses it at once
		err = nil
	}
	if err == nil && !f.MayBlock {
		waiting(p.Name)
	}
	return f, err
}

var errNotRegular = unix.EISDIR

// pin opens a file, unless the cache has it, and returns its interpreter.
func (f *Pinned) pin(ctx context.Context, dir int, path string) (interpreter string, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, path, &st, 0); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG { // opening a device can have effects
		return "", errNotRegular
	}
	if e := f.cache.get(idOf(&st)); e != nil {
		f.addEntry(e)
		return e.interpreter, nil
	}
	fd, err := openLeased(ctx, dir, path)
	if err == unix.EACCES || err == unix.EPERM {
		f.MayBlock = true
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if f.MayBlock = isRemote(fd); f.MayBlock {
		f.addFD(fd)
		return "", nil
	}
	interpreter = interpreterOf(fd)
	if e := f.cache.add(fd, interpreter); e != nil {
		f.addEntry(e)
	} else {
		f.addFD(fd)
	}
	return interpreter, nil
}

// openLeased opens a file for reading. While another process has a write lease on it, it tries
// again until ctx ends.
func openLeased(ctx context.Context, dir int, path string) (int, error) {
	for pause := leaseFirst; ; pause = min(2*pause, leaseLast) {
		fd, err := openRetrying(dir, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
		if err != unix.EWOULDBLOCK {
			return fd, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return -1, err
		}
	}
}

// openRetrying repeats an open that a signal interrupts.
func openRetrying(dir int, path string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, path, flags|unix.O_CLOEXEC, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// remoteFilesystems are those that can block for another machine or for a process, by f_type of
// statfs(2).
var remoteFilesystems = map[uint32]bool{
	unix.NFS_SUPER_MAGIC:    true,
	unix.SMB_SUPER_MAGIC:    true,
	unix.SMB2_SUPER_MAGIC:   true,
	unix.CIFS_SUPER_MAGIC:   true,
	unix.V9FS_MAGIC:         true,
	unix.FUSE_SUPER_MAGIC:   true,
	unix.AFS_SUPER_MAGIC:    true,
	unix.AFS_FS_MAGIC:       true,
	unix.CEPH_SUPER_MAGIC:   true,
	unix.CODA_SUPER_MAGIC:   true,
	unix.NCP_SUPER_MAGIC:    true,
	unix.AUTOFS_SUPER_MAGIC: true,
	unix.OCFS2_SUPER_MAGIC:  true,
	0x01161970:              true, // GFS2
	0x0bd00bd0:              true, // Lustre
	0x47504653:              true, // GPFS
	0x786f4256:              true, // vboxsf
	0xbacbacbc:              true, // vmhgfs
	0x7c7c6673:              true, // prl_fs
}

func isRemote(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) != nil || remoteFilesystems[uint32(st.Type)]
}
