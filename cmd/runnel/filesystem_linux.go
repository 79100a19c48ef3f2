package main

import "golang.org/x/sys/unix"

func statFS(dir string) (fileSystem, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fileSystem{}, withName(dir, err)
	}
	kind := uint32(st.Type)
	return fileSystem{
		free:     int64(st.Bavail) * st.Bsize,
		inMemory: kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC,
	}, nil
}
