// Package watch waits in the runtime's poller until a file is ready that reports the end of a
// process: its pidfd, or cgroup.events. A waiting goroutine holds no thread.
package watch

import (
	"context"
	"os"
	"time"
)

// Watch is one file that is watched.
type Watch struct {
	file  *os.File // in the runtime's poller
	ready func(fd uintptr) bool
}

// New watches file, which is non-blocking, until ready returns true. Wait closes it.
func New(file *os.File, ready func(fd uintptr) bool) *Watch { return &Watch{file, ready} }

// Wait blocks until the file is ready or ctx is done, and closes the file. It is called once.
func (w *Watch) Wait(ctx context.Context) {
	defer w.file.Close()
	defer context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })()
	if conn, err := w.file.SyscallConn(); err == nil {
		_ = conn.Read(w.ready)
	}
}
