package files

import (
	"golang.org/x/sys/unix"
)

// metadata describes a file.
func (t *task) metadata(p Path) (m Metadata, err error) {
	err = t.retry(func() error {
		e, err := t.resolve(p, true)
		if err != nil {
			return err
		}
		defer e.close()
		if err := e.needExists(); err != nil {
			return err
		}
		var st unix.Statx_t
		if err := statx(e, &st); err != nil {
			return failure("", err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return errExchanged
		}
		kind := uint32(st.Mode) & unix.S_IFMT
		m = Metadata{Directory: kind == unix.S_IFDIR, Regular: kind == unix.S_IFREG, Symlink: e.link, Size: int64(st.Size), Modified: milliseconds(st.Mtime)}
		if st.Mask&unix.STATX_BTIME != 0 {
			m.Created = milliseconds(st.Btime)
		}
		return nil
	})
	return m, of(p.Name, err)
}

func statx(e *entry, st *unix.Statx_t) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if e.name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	for {
		if err := unix.Statx(e.dir.fd, e.name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, st); err != unix.EINTR {
			return err
		}
	}
}

// milliseconds returns the time since the epoch, 0 if it is before.
func milliseconds(t unix.StatxTimestamp) int64 { return max(0, t.Sec*1000+int64(t.Nsec)/1_000_000) }

// canonicalize returns the path of a file that exists, without symbolic links.
func (t *task) canonicalize(p Path) (string, error) {
	e, err := t.resolve(p, true)
	if err != nil {
		return "", err
	}
	defer e.close()
	return e.path, of(p.Name, e.needExists())
}
