package main

import (
	"fmt"
	"os"
	"syscall"
)

// readOperatorFile reads a file of the configuration: a regular file of at most most bytes that
// belongs to this user or to root, and that nobody else may write. flag is its flag, for errors.
func readOperatorFile(flag, path string, most int64) ([]byte, os.FileInfo, error) {
	text, info, err := readRegular(path, most, checkOperatorFile)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", flag, withName(path, err))
	}
	return text, info, nil
}

func checkOperatorFile(info os.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("mode is %04o: only its owner may have the permission to write it", mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to the user %d: it must belong to root or to this user", st.Uid)
	}
	return nil
}
