package process

import "golang.org/x/sys/unix"

// Prepare looks the program up without waiting for any file system, and reports whether Start will not wait either. That is
// so if the kernel has all names in its cache (openat2(2), RESOLVE_CACHED), and all files were executed a moment ago and are
// still open. It is called at most once, before Start.
func (a *Attempt) Prepare() bool {
	a.files.of = a.host.heldFiles
	if a.spec.check() != nil || !a.files.take(&a.spec) {
		a.files.close()
		return false
	}
	a.prepared = true
	a.held.Store(true)
	return true
}

// take takes all that the exec of spec opens from the files that are held, and reports whether all of it was there.
func (f *files) take(spec *Spec) bool {
	dir := unix.AT_FDCWD
	if spec.Dir != "" {
		fd, err := openCached(dir, spec.Dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return false
		}
		f.keep(fd)
		if id, ok := cachedID(fd); !ok || !f.of.onDevice(id.dev) {
			return false
		}
		dir = fd
	}
	path := f.takeProgram(dir, spec)
	f.path = path
	for range maxInterpreters - 1 {
		if path == "" {
			return false
		}
		last := f.shared[f.m-1]
		if path = last.interpreter; path == "" {
			return true
		}
		h, err := f.of.takeCached(dir, path)
		if err != nil || h == nil {
			return false
		}
		f.share(h)
	}
	return false
}

// takeProgram takes the program and returns its path, "" if it is not held. A file that was executed and has not changed
// since may be executed.
func (f *files) takeProgram(dir int, spec *Spec) string {
	for file := range spec.candidates() {
		h, err := f.of.takeCached(dir, file)
		switch {
		case err == nil && h != nil:
			f.share(h)
			return file
		case err != unix.ENOENT && err != unix.ENOTDIR:
			return ""
		}
	}
	return ""
}

// takeCached returns the file at a path if that is held, and nil if it is another one.
func (h *heldFiles) takeCached(dir int, path string) (*heldFile, error) {
	fd, err := openCached(dir, path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	id, ok := cachedID(fd)
	if !ok {
		return nil, nil
	}
	return h.take(id), nil
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h, from Linux 5.12 on.
const resolveCached = 0x20

// openCached fails with EAGAIN if a name is not in the kernel's cache.
func openCached(dir int, path string, flags uint64) (int, error) {
	return unix.Openat2(dir, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolveCached})
}

// cachedID is idOf as the kernel has it, without asking a file server.
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
