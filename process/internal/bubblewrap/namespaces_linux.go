package bubblewrap

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/poller"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/watch"
)

const (
	// closeWait is how long Close waits for the end of bwrap and the holder, and once more after it
	// has killed them.
	closeWait = 2 * time.Second
	// killWait is how long bwrap may take to exit after its child was killed.
	killWait = 100 * time.Millisecond
)

// Namespaces are the namespaces of one sandbox. The exported fields do not change; Close closes
// them.
type Namespaces struct {
	// PIDFD is the holder. setns(2) with it and Flags enters all namespaces at once. CLONE_NEWUSER
	// needs a process with one thread.
	PIDFD int
	// Flags are the namespaces that are not those of this process.
	Flags int
	// Dir and Programs are opened inside (O_PATH).
	Dir      int
	Programs []int
	// Ruleset is the Landlock ruleset, -1 for none.
	Ruleset int
	// Listener accepts what processes inside connect to. It is nil unless the network mode is
	// AllowList.
	Listener net.Listener

	root   root // closed once the sandbox is made
	bwrap  *leader.Leader
	exited chan struct{} // closed when bwrap was reaped
	socket *os.File      // its end ends the holder

	ending sync.Once
	closed sync.Once
}

// enter verifies the namespaces and the mounts, and opens everything inside.
func (s *starter) enter(ctx context.Context, n *Namespaces) error {
	defer func() {
		_ = unix.Close(int(n.root))
		n.root = -1
	}()
	if err := separate(n.PIDFD, n.Flags); err != nil {
		return &Error{Step: stepNamespaces, Err: err}
	}
	if err := n.root.verify(ctx, s.mounts); err != nil {
		return err
	}
	var err error
	if n.Dir, err = n.root.openDir(s.config); err != nil {
		return err
	}
	for _, f := range s.config.Programs {
		fd, err := n.root.openSame(f)
		if err != nil {
			return err
		}
		n.Programs = append(n.Programs, fd)
	}
	if s.config.Terminal != nil {
		if err := n.root.openTerminal(s.config.Terminal); err != nil {
			return err
		}
	}
	if s.config.Ruleset == nil {
		return nil
	}
	n.Ruleset, err = s.config.Ruleset(func(path string) (int, error) { return n.root.open(path, 0) })
	if err != nil {
		n.Ruleset = -1
		return &Error{Step: stepRuleset, Err: err}
	}
	return nil
}

// End ends the holder and does not wait. If the sandbox has a PID namespace, the kernel kills all
// processes in it.
func (n *Namespaces) End() { n.ending.Do(func() { _ = n.socket.Close() }) }

// Close ends the sandbox, waits until the holder has exited and bwrap was reaped, and closes the
// descriptors. The holder exits after all processes of its PID namespace were reaped; those that
// entered it have to be reaped by the caller, so it does that before. If this takes more than
// closeWait, they are killed; if a process cannot be killed, Close returns after closeWait once
// more, and bwrap is reaped when it exits. Close may be called again, and from any goroutine; each
// call returns after the end.
func (n *Namespaces) Close() {
	n.closed.Do(func() {
		n.End()
		if !n.await(closeWait) {
			n.kill()
		}
		n.closeFiles()
	})
}

// abort is Close for a bwrap that may not have executed the holder.
func (n *Namespaces) abort() {
	n.closed.Do(func() {
		n.End()
		n.kill()
		n.closeFiles()
	})
}

// reap is called when bwrap has exited. If it has failed, its child may still wait for it, and would
// do so forever (bwrap uses an eventfd, which has no end). It is in the same process group, and may have
// become a child of this process.
func (n *Namespaces) reap() {
	_ = n.socket.SetReadDeadline(time.Unix(1, 0)) // of the start
	leader.DiscardGroup(n.bwrap.PID)
	_, _ = n.bwrap.Reap()
	n.bwrap.CloseHandle()
	close(n.exited)
}

// kill kills the child of bwrap, so that bwrap reaps it and exits, and then both.
func (n *Namespaces) kill() {
	n.signal(func() {
		if children, err := procfs.ThreadChildren(n.bwrap.PID, n.bwrap.PID); err == nil && len(children) > 0 {
			_ = unix.Kill(children[0], unix.SIGKILL)
		}
	})
	if n.await(killWait) {
		return
	}
	n.signal(func() { _ = unix.Kill(-n.bwrap.PID, unix.SIGKILL) }) // with a child that is forked meanwhile
	n.await(closeWait)
}

// signal calls f while bwrap is not reaped, so that its process id and its group are not reused.
func (n *Namespaces) signal(f func()) {
	_ = n.bwrap.Do(func(_ int, reaped bool) error {
		if !reaped {
			f()
		}
		return nil
	})
}

// await waits for both exits. It returns false after that time.
func (n *Namespaces) await(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	select {
	case <-n.exited:
	case <-ctx.Done():
		return false
	}
	return n.awaitHolder(ctx)
}

// awaitHolder waits for the exit of the holder. Usually bwrap has reaped it; if bwrap was killed, it
// may have become a child of this process.
func (n *Namespaces) awaitHolder(ctx context.Context) bool {
	if n.PIDFD < 0 {
		return true
	}
	if !poller.Readable(n.PIDFD) {
		fd, err := unix.FcntlInt(uintptr(n.PIDFD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return true
		}
		_ = unix.SetNonblock(fd, true)
		watch.New(os.NewFile(uintptr(fd), "pidfd"), func(fd uintptr) bool { return poller.Readable(int(fd)) }).Wait(ctx)
	}
	leader.Reaping.Lock()
	defer leader.Reaping.Unlock()
	_ = unix.Waitid(unix.P_PIDFD, n.PIDFD, nil, unix.WEXITED|unix.WNOHANG, nil)
	return poller.Readable(n.PIDFD)
}

func (n *Namespaces) closeFiles() {
	for _, fd := range append([]int{n.PIDFD, n.Dir, n.Ruleset, int(n.root)}, n.Programs...) {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	if n.Listener != nil {
		if err := n.Listener.Close(); errors.Is(err, net.ErrClosed) {
			return // by its user
		}
	}
}
