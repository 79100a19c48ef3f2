package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

const direct = unix.O_DIRECT

func (f file) Sync() error {
	return f.control("fdatasync", unix.Fdatasync)
}

func (f file) PunchHole(offset, n int64) error {
	err := f.control("fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, n)
	})
	if unsupported(err) {
		return ErrNoHoles
	}
	return err
}

func (f file) SkipHole(offset int64) (int64, error) {
	data := offset
	err := f.control("lseek", func(fd int) (err error) {
		data, err = unix.Seek(fd, offset, unix.SEEK_DATA)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO): // there is no data after offset
		size, err := f.Size()
		return max(offset, size), err
	case unsupported(err):
		return offset, nil
	}
	return data, err
}

func (f file) StartWriting(offset, n int64) error {
	return f.hint("sync_file_range", func(fd int) error {
		return unix.SyncFileRange(fd, offset, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}

func (f file) DropCache(offset, n int64) error {
	const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return f.hint("sync_file_range", func(fd int) error {
		if err := unix.SyncFileRange(fd, offset, n, wait); err != nil {
			return err
		}
		return unix.Fadvise(fd, offset, n, unix.FADV_DONTNEED)
	})
}

// hint is control for a call that may be unsupported.
func (f file) hint(operation string, call func(fd int) error) error {
	if err := f.control(operation, call); !unsupported(err) {
		return err
	}
	return nil
}

func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV)
}
