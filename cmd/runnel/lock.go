package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	// lockTimeout is how long a start waits for another server's lock.
	lockTimeout = 3 * time.Second
	// lockInterval is the time between two attempts.
	lockInterval = 10 * time.Millisecond
)

// lockDir locks dir until unlock is called, so that servers that start at the same time do not both
// create a file that does not exist. It fails after lockTimeout, or with the cause of ctx.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("%s: another process has held its lock for %v", dir, lockTimeout))
	defer cancel()
	// A blocking flock(2) has no timeout and cannot be canceled.
	for {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = d.Close() }, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			_ = d.Close()
			return nil, os.NewSyscallError("flock "+dir, err)
		}
		select {
		case <-time.After(lockInterval):
		case <-ctx.Done():
			_ = d.Close()
			return nil, context.Cause(ctx)
		}
	}
}
