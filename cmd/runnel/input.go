package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// hasInput reports whether there is something to read from a file, a pipe or a socket, without waiting
// for it. Of a terminal it reports false.
func hasInput(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		at, err := f.Seek(0, io.SeekCurrent)
		return err == nil && at < info.Size()
	case mode&os.ModeNamedPipe != 0:
		poll := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n > 0 && poll[0].Revents&unix.POLLIN != 0 // not set at the end of the input
	case mode&os.ModeSocket != 0:
		n, _, err := unix.Recvfrom(int(f.Fd()), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err == nil && n > 0
	}
	return false
}
