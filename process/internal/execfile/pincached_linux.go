package execfile

import "golang.org/x/sys/unix"

// PinCached looks the program up and pins its files without waiting for any file system. It
// succeeds if the kernel has all names in its cache (openat2(2), RESOLVE_CACHED), and all files are
// in c. The caller closes the result.
func (c *Cache) PinCached(p *Program) (f Pinned, ok bool) {
	f.cache = c
	if !f.pinCached(p) {
		f.Close()
		return f, false
	}
	return f, true
}

func (f *Pinned) pinCached(p *Program) bool {
	dir := unix.AT_FDCWD
	if p.Dir != "" {
		fd, err := openCached(dir, p.Dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return false
		}
		f.addFD(fd)
		if id, ok := cachedID(fd); !ok || !f.cache.onDevice(id.dev) {
			return false
		}
		dir = fd
	}
	path := f.pinProgram(dir, p)
	f.Path = path
	for range maxFiles - 1 {
		if path == "" {
			return false
		}
		last := f.entries[f.m-1]
		if path = last.interpreter; path == "" {
			return true
		}
		e, err := f.cache.getCached(dir, path)
		if err != nil || e == nil {
			return false
		}
		f.addEntry(e)
	}
	return false
}

// pinProgram pins the program and returns its path, or "" if it is not in the cache. A file that
// was executed, and has not changed since, is executable.
func (f *Pinned) pinProgram(dir int, p *Program) string {
	for file := range p.candidates() {
		e, err := f.cache.getCached(dir, file)
		switch {
		case err == nil && e != nil:
			f.addEntry(e)
			return file
		case err != unix.ENOENT && err != unix.ENOTDIR:
			return ""
		}
	}
	return ""
}

// getCached returns the entry of the file at a path, or nil if the cache does not have it.
func (c *Cache) getCached(dir int, path string) (*entry, error) {
	fd, err := openCached(dir, path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	id, ok := cachedID(fd)
	if !ok {
		return nil, nil
	}
	return c.get(id), nil
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h (Linux 5.12).
const resolveCached = 0x20

// openCached fails with EAGAIN if a name is not in the cache of the kernel.
func openCached(dir int, path string, flags uint64) (int, error) {
	return unix.Openat2(dir, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolveCached})
}

// cachedID is idOf from the cache of the kernel, without a request to a file server.
func cachedID(fd int) (id fileID, ok bool) {
	const mask = unix.STATX_INO | unix.STATX_SIZE | unix.STATX_CTIME
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, mask, &st)
	if err != nil || st.Mask&mask != mask {
		return id, false
	}
	ctime := unix.Timespec{Sec: st.Ctime.Sec, Nsec: int64(st.Ctime.Nsec)}
	return fileID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino, int64(st.Size), ctime}, true
}
