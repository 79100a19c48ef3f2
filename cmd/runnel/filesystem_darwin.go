package main

import "golang.org/x/sys/unix"

func statFS(dir string) (fileSystem, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fileSystem{}, withName(dir, err)
	}
	return fileSystem{free: int64(st.Bavail) * int64(st.Bsize)}, nil
}
