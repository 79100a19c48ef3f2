package main

import (
	"errors"
	"os"
	"syscall"
)

// lockDir keeps other servers of this user out of dir until unlock: what is looked for there and made where
// it is missing, two of them that start together would make twice.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = d.Close()
		return nil, os.NewSyscallError("flock "+dir, err)
	}
	return func() { _ = d.Close() }, nil
}
