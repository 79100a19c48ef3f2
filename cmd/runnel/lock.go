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
	// lockWait is the longest time that a start waits for another server's lock.
	lockWait = 3 * time.Second
	// lockPoll is the time between two tries.
	lockPoll = 10 * time.Millisecond
)

// lockDir keeps other servers of this user out of dir until unlock: what is looked for there and made where
// it is missing, two of them that start together would make twice. It fails after lockWait, and with the cause of ctx
// when that ends.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, fmt.Errorf("%s: another process has held its lock for %v", dir, lockWait))
	defer cancel()
	// flock(2) has no timeout, and a call that blocks could not be given up.
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
		case <-time.After(lockPoll):
		case <-ctx.Done():
			_ = d.Close()
			return nil, context.Cause(ctx)
		}
	}
}
